"""What a person does to the value of a dead letter, and what they leave alone."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.cli.letters import as_document, printable, read_origin
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.framing import NO_SCHEMA
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.streams.operations.replay.correct import (
    CannotCorrect,
    Correction,
    changed,
    fields_of,
    merged,
    read_change,
    written,
)
from pintally.streams.operations.replay.edited import Edited, read_edited
from tests.schemas.test_dead_letters import rows

contents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), contents, max_size=4)
prefixes = st.binary(min_size=4, max_size=4).map(lambda schema: b"\0" + schema)
framed = st.builds(bytes.__add__, prefixes, objects.map(written) | st.binary(max_size=9))
values = st.none() | st.binary(max_size=30) | st.text(max_size=30).map(str.encode) | objects.map(written) | framed
SOURCE = Source(Action.SAVE.topic(), UUID(int=1), 0)


def letter(value: bytes | None) -> DeadLetterRow:
    return DeadLetterRow(SOURCE, 7, 0, "invalid", "because", None, value, ())


@given(values)
def test_a_letter_that_is_shown_and_not_edited_keeps_every_byte(value: bytes | None) -> None:
    (line,) = read_edited([json.dumps(as_document(letter(value), None))], "x")
    assert line.value_for(value, 0) == line.value_for(value, 5) == value
    assert read_origin(line.origin) == (SOURCE.topic, 0, 7)


@given(rows)
def test_what_is_shown_of_a_letter_has_no_byte_that_steers_a_terminal(row: DeadLetterRow) -> None:
    shown = as_document(row, None)
    words = [shown["key"] or "", *[text or "" for pair in shown["headers"] for text in pair]]
    assert all(word.isprintable() for word in words)
    assert json.dumps(shown).isascii()


def test_control_characters_and_turned_writing_are_shown_as_escapes() -> None:
    assert printable("a\x1b[2Jb\u202ec\r\n d") == "a\\x1b[2Jb\\u202ec\\r\\n d"


@given(objects, objects)
def test_merging_sets_what_is_named_and_nothing_else(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    flat = {name: value for name, value in changes.items() if not isinstance(value, dict)}
    after = fields_of(merged(written(fields), flat, 0))
    expected = {**fields, **flat}
    assert after == {name: value for name, value in expected.items() if not (name in flat and value is None)}
    assert set(changed(written(fields), written(after))) <= set(flat)


@given(objects)
def test_merging_nothing_changes_nothing(fields: dict[str, Any]) -> None:
    assert changed(written(fields), merged(written(fields), {}, 0)) == ()


def test_objects_are_merged_member_by_member() -> None:
    before = written({"experiments": {"a": "1", "b": "2"}})
    assert fields_of(merged(before, {"experiments": {"a": None, "c": "3"}}, 0)) == {"experiments": {"b": "2", "c": "3"}}


PREFIX = b"\0\0\0\0\x07"


@pytest.mark.parametrize(
    ("value", "prefix_bytes", "before"),
    [
        (PREFIX + b'{"a":1}', 5, PREFIX),
        (PREFIX + b'{"a":1}', 0, b""),
        (b'{"a":1}', 5, NO_SCHEMA),
        (b'{"a":1}', 0, b""),
    ],
)
def test_what_is_corrected_is_framed_as_its_topic_asks(value: bytes, prefix_bytes: int, before: bytes) -> None:
    """By --set, by an edited line and by --reframe."""
    assert Correction({"a": 2}).applied(value, prefix_bytes) == before + b'{"a":2}'
    assert Correction({"a": 2}, reframe=True).applied(value, prefix_bytes) == before + b'{"a":2}'
    assert Correction(reframe=True).applied(value, prefix_bytes) == before + b'{"a":1}'
    assert Correction().applied(value, prefix_bytes) == value
    edited = Edited.model_validate({**LINE, "value": {"a": 2}})
    assert edited.value_for(value, prefix_bytes) == before + b'{"a":2}'
    assert Edited.model_validate({**LINE, "value": {"a": 1}}).value_for(value, prefix_bytes) == value


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"\xff", PREFIX, PREFIX + b"\xff"])
def test_reframing_leaves_no_value_without_its_bytes(value: bytes | None) -> None:
    correction = Correction({"a": 1}, reframe=True)
    framed_value = correction.applied(value, 5)
    assert (framed_value is None) == (value is None)
    assert correction.applied(framed_value, 0) == correction.applied(value, 0)


def test_a_framed_letter_is_shown_as_its_fields_and_its_prefix() -> None:
    shown = as_document(letter(PREFIX + b'{"a":1}'), None)
    assert (shown["value"], shown["prefix"]) == ({"a": 1}, "0000000007")
    assert "prefix" not in as_document(letter(b'{"a":1}'), None)


def test_a_change_of_the_prefix_is_named() -> None:
    assert changed(b'{"a":1}', PREFIX + b'{"a":1}') == ("prefix",)
    assert changed(PREFIX + b'{"a":1}', b'{"a":2}') == ("a", "prefix")
    assert changed(PREFIX + b'{"a":1}', PREFIX + b'{ "a": 1 }') == ()


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"\xff", b'{"a":', b'"text"'])
def test_a_value_without_fields_cannot_be_set_and_a_new_one_replaces_all_of_it(value: bytes | None) -> None:
    with pytest.raises(CannotCorrect):
        merged(value, {"a": 1}, 0)
    assert changed(value, b"{}") == ("value",)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ('pin_id="7"', ("pin_id", "7")),
        ("pin_id=18446744073709551615", ("pin_id", 2**64 - 1)),
        ("surface=home", ("surface", "home")),
        ("surface=", ("surface", "")),
        ("surface=null", ("surface", None)),
        ("a=b=c", ("a", "b=c")),
    ],
)
def test_a_change_is_json_and_else_text(text: str, change: tuple[str, Any]) -> None:
    assert read_change(text) == change


@pytest.mark.parametrize("text", ["pin_id", "=7", ""])
def test_a_change_without_a_field_is_refused(text: str) -> None:
    with pytest.raises(PintallyError, match="not field=value"):
        read_change(text)


LINE = {"origin": "engagement.save.v1[0]@7", "topic_id": str(UUID(int=1))}


def test_the_value_of_an_edited_line_is_its_fields_else_its_text_else_its_bytes() -> None:
    assert Edited.model_validate({**LINE, "value": {"a": 1}, "text": "b"}).value_for(b'{ "a": 1 }', 0) == b'{ "a": 1 }'
    assert Edited.model_validate({**LINE, "value": {"a": 2}, "text": "b"}).value_for(b'{ "a": 1 }', 0) == b'{"a":2}'
    assert Edited.model_validate({**LINE, "text": "ä"}).value_for(None, 0) == "ä".encode()
    assert Edited.model_validate({**LINE, "base64": "/w=="}).value_for(None, 0) == b"\xff"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], "x:1"),
        ([json.dumps(LINE), "", json.dumps(LINE)], "x:3: engagement.save.v1.0.@7 occurs twice"),
        ([json.dumps({**LINE, "origin": "engagement.save.v1"})], "origin"),
        ([json.dumps({"origin": LINE["origin"]})], "topic_id"),
        ([json.dumps({**LINE, "base64": "!"})], "x:1"),
        ([json.dumps({**LINE, "text": "\ud800"})], "x:1"),
    ],
)
def test_a_line_that_is_none_of_ours_is_named(lines: list[str], words: str) -> None:
    with pytest.raises(PintallyError, match=words):
        read_edited(lines, "x")
