"""Rules as start rows keep them."""

import json
from dataclasses import replace
from hashlib import sha256
from uuid import UUID

import pytest

from pintally.audit.errors import CannotTell
from pintally.audit.rules import parse_rules
from pintally.schemas.errors import PintallyError, UnknownRules
from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import Rules, fingerprint_of
from pintally.schemas.sources import Source
from pintally.streams.counting.rules_in_force import known_rules, rules_in_force, unknown_rules

RECORDED = (
    '{"allowed_lateness_ms":3600000,"breakdown":true,"code_version":1,"dedup":true,"max_clock_skew_ms":300000,'
    '"retention_ms":7776000000,"schema_version":1,"slice_records":250000,"trusted_cap":5}'
)  # without `prefix_bytes`


def test_rules_recorded_without_a_prefix_mean_plain_json_and_have_one_fingerprint() -> None:
    rules = Rules.from_json(RECORDED)
    assert rules == Rules()
    assert rules.prefix_bytes == parse_rules(RECORDED).prefix_bytes == 0
    assert rules.to_json() == RECORDED
    assert rules.fingerprint == parse_rules(RECORDED).fingerprint == sha256(RECORDED.encode()).hexdigest()[:16]


def test_framed_rules_are_other_rules_for_the_worker_and_the_audit() -> None:
    framed = Rules().framed
    assert Rules.from_json(framed.to_json()) == framed != Rules()
    assert json.loads(framed.to_json()) == {**json.loads(RECORDED), "prefix_bytes": 5}
    read = parse_rules(framed.to_json())
    assert (read.prefix_bytes, read.fingerprint) == (5, framed.fingerprint)
    assert framed.never_late.prefix_bytes == 5


@pytest.mark.parametrize("prefix", [1, 6, -5, "5", None, 5.0, True])
def test_a_prefix_that_this_version_does_not_know_is_refused_by_both(prefix: object) -> None:
    held = json.dumps(json.loads(RECORDED) | {"prefix_bytes": prefix})
    with pytest.raises(CannotTell):
        parse_rules(held)
    with pytest.raises(PintallyError, match="prefix_bytes"):
        Rules.from_json(held)


@pytest.mark.parametrize(
    "held", [{"breakdown": 1}, {"breakdown": None}, {"trusted_cap": -1}, {"trusted_cap": True}, {"trusted_cap": 5.0}]
)
def test_a_breakdown_or_a_cap_that_is_none_is_refused_by_both(held: dict[str, object]) -> None:
    text = json.dumps(json.loads(RECORDED) | held)
    with pytest.raises(CannotTell):
        parse_rules(text)
    with pytest.raises(PintallyError, match=next(iter(held))):
        Rules.from_json(text)


@pytest.mark.parametrize(
    "held",
    [{"cap_per_user": 3}, {"schema_version": 2}, {"code_version": 2}, {"allowed_lateness_ms": "1 h"}, {"dedup": 1},
     {"slice_records": 0}, {"experiments": [1]}, {"user_key": 7}],
    ids=lambda held: next(iter(held)),
)  # fmt: skip
def test_rules_of_a_newer_version_are_refused_by_both_which_name_what_they_do_not_know(held: dict[str, object]) -> None:
    text = json.dumps(json.loads(RECORDED) | held)
    with pytest.raises(CannotTell) as cannot_tell:
        parse_rules(text)
    with pytest.raises(UnknownRules, match=next(iter(held))) as refused:
        Rules.from_json(text)
    assert next(iter(held)) in cannot_tell.value.what
    assert cannot_tell.value.remedy == refused.value.remedy
    assert refused.value.remedy.startswith("Upgrade Pintally")
    assert known_rules(text) is None


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '"rules"'])
def test_what_is_no_rules_at_all_is_refused_by_both(text: str) -> None:
    with pytest.raises(CannotTell):
        parse_rules(text)
    with pytest.raises(UnknownRules, match="no JSON object"):
        Rules.from_json(text)


def test_rules_that_are_not_known_are_shown_once_with_the_topics_that_have_them() -> None:
    text = json.dumps(json.loads(RECORDED) | {"cap_per_user": 3})
    sources = [Source(topic, UUID(int=1), partition) for topic in ("b", "a") for partition in (0, 1)]
    ledgers = [
        SourceLedger((StartRow(source, 1, 0, 0, RECORDED), StartRow(source, 2, 9, 9, text)), ()) for source in sources
    ]
    (words,) = unknown_rules(rules_in_force(ledgers))
    assert words.startswith("a, b: the ledger has rules that this version does not know: cap_per_user, in {")
    assert {(each.epoch, each.fingerprint) for each in rules_in_force(ledgers)} == {(2, fingerprint_of(text))}
    before = [SourceLedger(ledger.starts[:1], ()) for ledger in ledgers]
    assert not unknown_rules(rules_in_force([*before, SourceLedger((), ())]))
    assert {each.fingerprint for each in rules_in_force(before)} == {Rules().fingerprint}


def test_rules_with_another_breakdown_or_cap_are_other_rules_for_the_worker_and_the_audit() -> None:
    for other in (replace(Rules(), breakdown=False), replace(Rules(), trusted_cap=0)):
        read = parse_rules(other.to_json())
        assert Rules.from_json(other.to_json()) == other
        assert (read.breakdown, read.trusted_cap) == (other.breakdown, other.trusted_cap)
        assert read.fingerprint == other.fingerprint != Rules().fingerprint
