"""Values that a schema registry frames (E12): five bytes before the JSON, where the rules of the topic say so."""

import json
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.audit.contract import read_event
from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.framed import decode_framed
from pintally.schemas.decoding.values import Values
from pintally.schemas.framing import NO_SCHEMA, framed_as, is_framed, not_framed, prefix_of, without_prefix
from tests.support.agreement import audited_at_once

EVENT = {
    "event_id": "0189d2f4-5c6b-7a3e-9f00-0123456789ab",
    "action": "save",
    "pin_id": "7",
    "user_id": "8",
    "occurred_at": 1_767_268_800_000,
}
PLAIN = json.dumps(EVENT).encode()
PREFIX = b"\0\0\0\1\xff"

plain = st.sampled_from([PLAIN, json.dumps(EVENT | {"pin_id": 12, "extra": [1]}).encode(), b"{}", b"", b"[" * 40])
prefixes = st.binary(min_size=4, max_size=4).map(lambda schema: b"\0" + schema)
values = st.one_of(
    plain,
    st.builds(bytes.__add__, prefixes, plain),
    st.builds(bytes.__add__, prefixes, plain).flatmap(lambda value: st.integers(0, 8).map(lambda end: value[:end])),
    st.builds(bytes.__add__, st.binary(min_size=5, max_size=5), plain),
    st.binary(max_size=12),
    st.none(),
)
unhurried = settings(deadline=None)


def assert_agrees(decoded: Decoded, chunk: Sequence[bytes | None]) -> None:
    """Each value is what its JSON is, alone; the audit says the same."""
    audited = audited_at_once(chunk, Action.SAVE, 5)
    for i, value in enumerate(chunk):
        event = read_event(value, "save", 5)
        assert audited[i] == event
        assert decoded.valid[i] == (event is not None)
        if value is not None and not is_framed(value):
            assert decoded.reasons[i] == not_framed("save")
            continue
        alone = decode(Values.of([without_prefix(value)]), Action.SAVE)
        assert decoded.valid[i] == alone.valid[0]
        for name in ("pin_id", "occurred_at", "event_id"):
            assert np.array_equal(getattr(decoded, name)[i], getattr(alone, name)[0])
        assert decoded.reasons.get(i, "").partition(":")[2] == alone.reasons.get(0, "").partition(":")[2]


@unhurried
@given(st.lists(values, max_size=12), st.integers(0, 12))
def test_what_follows_the_prefix_is_decoded_whatever_its_company(chunk: list[bytes | None], cut: int) -> None:
    assert_agrees(decode_framed(Values.of(chunk), Action.SAVE), chunk)
    for part in (chunk[:cut], chunk[cut:]):
        assert_agrees(decode_framed(Values.of(part), Action.SAVE), part)


@unhurried
@given(st.lists(values, max_size=8), st.randoms(use_true_random=False))
def test_values_may_lie_anywhere_in_their_text_and_stay_as_they_are(chunk: list[bytes | None], rng: Random) -> None:
    laid = Values.of([b"\0\0\0", *chunk, b"\0\0\0\0\0{"])
    order = np.array(rng.sample(range(1, len(chunk) + 1), len(chunk)), np.intp)
    some = Values(laid.text, laid.starts[order], laid.lengths[order])
    before = laid.text.tobytes()
    assert_agrees(decode_framed(some, Action.SAVE), [chunk[at - 1] for at in order])
    assert laid.text.tobytes() == before
    assert list(some) == [chunk[at - 1] for at in order]


@given(values)
def test_no_value_is_valid_both_framed_and_plain(value: bytes | None) -> None:
    here, there = decode_framed(Values.of([value]), Action.SAVE), decode(Values.of([value]), Action.SAVE)
    assert not (here.valid[0] and there.valid[0])
    assert bool(there.valid[0]) == (read_event(value, "save", 0) is not None)


def test_many_framed_values_are_read_as_fast_ones_are() -> None:
    """All of one shape, so that none is left to the models; their starts are moved and no value is copied."""
    chunk = [PREFIX + PLAIN] * 5_000
    decoded = decode_framed(Values.of(chunk), Action.SAVE)
    assert decoded.valid.all()
    assert set(decoded.pin_id.tolist()) == {7}
    assert not decoded.reasons


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PLAIN, "take save out of PINTALLY_FRAMED_TOPICS"),
        (b"", "must be framed by a schema registry"),
        (PREFIX[:4], "must be framed by a schema registry"),
        (b"\1" + PREFIX[1:] + PLAIN, "must be framed by a schema registry"),
        (PREFIX, "value behind its prefix: must be JSON; it is empty"),
        (PREFIX + b"\xff", "value behind its prefix: must be UTF-8; byte 0 is not"),
        (PREFIX + b'{"a":}', "value behind its prefix: must be JSON; Expecting value (character 5)"),
        (PREFIX + b"{}", "event_id: missing"),
        (None, "value: missing (a tombstone)"),
    ],
)
def test_the_reason_says_what_is_wrong_and_names_the_setting(value: bytes | None, reason: str) -> None:
    assert reason in decode_framed(Values.of([PREFIX + PLAIN, value]), Action.SAVE).reasons[1]


def test_a_framed_value_on_a_plain_topic_is_told_of_the_setting() -> None:
    reason = decode(Values.of([PREFIX + PLAIN]), Action.SAVE).reasons[0]
    assert "framed by a schema registry" in reason
    assert "PINTALLY_FRAMED_TOPICS" in reason


@given(values, prefixes)
def test_taking_the_prefix_away_and_putting_it_back_is_the_same_value(value: bytes | None, prefix: bytes) -> None:
    rest = without_prefix(value)
    assert value == (rest if rest is None else prefix_of(value) + rest)
    assert framed_as(PLAIN, 0, value) == PLAIN
    assert framed_as(PLAIN, 5, prefix + PLAIN) == prefix + PLAIN
    assert framed_as(PLAIN, 5, PLAIN) == NO_SCHEMA + PLAIN
