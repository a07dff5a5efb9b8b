"""The audit's two readings of the contract and the models' are one, on valid, odd and hostile values."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pintally.audit.contract import ACTIONS, Event, read_event
from pintally.schemas.actions import Action
from pintally.schemas.events import ContractError, validate
from tests.support.agreement import audited_at_once

# Time on a busy machine says nothing of the contract.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"


def models_say(value: bytes | None, action: Action) -> Event | None:
    try:
        event = validate(value, action)
    except ContractError:
        return None
    return Event(
        event.event_id.bytes,
        event.pin_id,
        event.occurred_at,
        event.user_id,
        event.surface,
        event.platform,
        event.experiments or {},
    )


def agree(value: bytes | None) -> Event | None:
    """All say the same for every topic, also if the value stands among others; what they say for saves."""
    verdicts = {action: (models_say(value, action), read_event(value, action.label)) for action in Action}
    good = to_bytes(GOOD)
    for action, (models, audit) in verdicts.items():
        assert audit == models
        assert audited_at_once([value], action) == [models]
        assert audited_at_once([good, value, None, value, good], action)[1:4] == [models, None, models]
    return verdicts[Action.SAVE][1]


GOOD: dict[str, Any] = {
    "event_id": "0189d2f4-5c6b-7a3e-9f00-0123456789AB",
    "action": "save",
    "pin_id": "7",
    "user_id": "8",
    "occurred_at": 1_767_268_800_000,
}
EDGES = [0, -1, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 4_102_444_799_999, 4_102_444_800_000, 10**25]
integers = st.one_of(st.sampled_from(EDGES), st.integers(-(2**65), 2**65), st.integers(0, 4_102_444_800_001))
awkward = st.text(st.sampled_from("0189 +-_.eE\u0661\uff11\n\x00\ud800\udc00\U0001f600é"), max_size=66)
words = st.one_of(
    awkward, st.text(max_size=70), st.sampled_from(["save", "click", "closeup", "SAVE", "a" * 64, "a" * 65])
)
uuids = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: str(u).upper()),
    st.uuids().map(lambda u: u.hex),
    st.uuids().map(lambda u: u.urn),
    st.uuids().map(lambda u: f"{{{u}}}"),
    st.uuids().flatmap(lambda u: st.sampled_from(range(36)).map(lambda n: str(u)[:n] + "-" + str(u)[n + 1 :])),
    st.uuids().flatmap(lambda u: st.sampled_from(range(36)).map(lambda n: str(u)[:n] + " " + str(u)[n + 1 :])),
)
scalars = st.one_of(st.none(), st.booleans(), integers, integers.map(str), words, uuids, st.floats(), st.just([]))
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))
labels = st.dictionaries(words, words, max_size=34)
fields = st.fixed_dictionaries(
    {},
    optional={
        "event_id": uuids | anything,
        "action": words | anything,
        "pin_id": integers | integers.map(str) | anything,
        "user_id": integers | integers.map(str) | anything,
        "occurred_at": integers | anything,
        "surface": words | anything,
        "platform": words | anything,
        "experiments": labels | anything,
        "more": anything,
    },
)


def to_bytes(value: Any, ascii_only: bool = True) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@unhurried
@given(fields, st.sets(st.sampled_from(sorted(GOOD))), st.booleans())
def test_objects_with_any_field_wrong_or_missing(odd: dict[str, Any], missing: set[str], ascii_only: bool) -> None:
    event = {name: value for name, value in {**GOOD, **odd}.items() if name not in missing}
    agree(to_bytes(event, ascii_only))


@unhurried
@given(st.sampled_from(sorted([*GOOD, "surface", "platform", "experiments"])), anything | uuids | labels, st.booleans())
def test_one_odd_field_in_a_good_event(name: str, value: Any, ascii_only: bool) -> None:
    agree(to_bytes(GOOD | {name: value}, ascii_only))


@unhurried
@given(st.sampled_from(sorted(ACTIONS.values())), integers.filter(lambda n: 0 <= n < 2**64))
def test_good_events_are_good_in_one_topic_alone(action: str, pin: int) -> None:
    value = to_bytes(GOOD | {"action": action, "pin_id": str(pin)})
    agree(value)
    assert [read_event(value, label) is not None for label in ACTIONS.values()] == [
        label == action for label in ACTIONS.values()
    ]


@unhurried
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes(value: bytes) -> None:
    agree(value)


@unhurried
@given(st.data())
def test_good_events_with_bytes_cut_out_put_in_or_changed(data: st.DataObject) -> None:
    value = bytearray(to_bytes(GOOD | {"surface": "hom\u00e9", "experiments": {"a": "b"}}, data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value)))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=2)
            | st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"\\u", b"0", b"-", b"e"])
        )
    agree(bytes(value))


@unhurried
@given(st.sampled_from(["[", '{"a":']), st.integers(28, 36), st.booleans(), st.booleans())
@example("[", 100_000, False, False)
def test_nesting(bracket: str, depth: int, in_string: bool, twice: bool) -> None:
    close = {"[": "]", '{"a":': "}"}[bracket]
    nested = bracket * depth + "1" + close * depth
    more = json.dumps("\\" + nested) if in_string else nested
    good = json.dumps(GOOD)[:-1]
    agree(f'{good}, "more": {more}{", " + chr(34) + "more" + chr(34) + ": 1" if twice else ""}}}'.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"pin_id": -0}',
        '{"pin_id": 1.0}',
        '{"pin_id": 1e3}',
        '{"pin_id": 007}',
        '{"more": 1e999}',
        '{"more": NaN}',
        '{"more": -Infinity}',
        f'{{"more": {"9" * 10_000}}}',
        f'{{"more": -{"9" * 10_000}}}',
        f'{{"pin_id": {"9" * 10_000}}}',
        f'{{"occurred_at": {"0" * 10_000}}}',
        '{"pin_id": "x", "pin_id": "5"}',
        '{"pin_id": "5", "pin_id": "x"}',
        '{"\\u0070in_id": "x"}',
        '{"more": "\\ud800"}',
        '{"surface": "\\ud800"}',
        '{"surface": "\\ud83d\\ude00"}',
        '{"surface": null, "platform": null, "experiments": null}',
        '{"experiments": {}}',
        '{"pin_id": null}',
        '{"pin_id": true}',
        '{"more": 1} ',
        '{"more": 1}\u00a0',
        '{"more": "\t"}',
        '{"more": 1,}',
        "[]",
        "null",
        '"save"',
        "",
    ],
)
def test_known_traps(text: str) -> None:
    good = json.dumps(GOOD)
    agree(text.encode())
    agree((good[:-1] + ", " + text[1:]).encode() if text.startswith("{") else (good + text).encode())


@pytest.mark.parametrize("at", range(36))
def test_each_character_of_a_uuid_is_read(at: int) -> None:
    good = str(GOOD["event_id"])
    for character in {"-", "0", "g", "\u0661"} - {good[at]}:
        agree(to_bytes(GOOD | {"event_id": good[:at] + character + good[at + 1 :]}, ascii_only=False))


def test_size_and_encoding() -> None:
    good = to_bytes(GOOD)
    room = 1_048_576 - len(good)
    assert agree(good + b" " * room) is not None
    assert agree(good + b" " * (room + 1)) is None
    assert agree(b"\xef\xbb\xbf" + good) is None
    assert agree(good.replace(b'"7"', b'"\xff"')) is None
    assert agree(good[:-1] + b', "more": "\xed\xa0\x80"}') is None
    assert agree(good.decode().encode("utf-16")) is None
    assert agree(None) is None
    assert agree(good) is not None


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_examples(file: Path) -> None:
    value = file.read_bytes()
    found = [read_event(value, label) for label in ACTIONS.values()]
    agree(value)
    assert any(found) == (file.parent.name == "valid")
