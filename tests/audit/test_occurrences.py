"""The search for an event: whoever holds the id is found, however it is written, and nobody else is."""

import json
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from pintally.audit.occurrences import Ids
from pintally.audit.words import duration, moment

ID, OTHER = "7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11", "00000000-0000-4000-8000-00000000000a"
uuids = st.uuids().map(str) | st.sampled_from([ID, ID.upper(), OTHER])


def escaped(text: str, places: set[int]) -> str:
    """JSON text of a string, some of its characters as escapes."""
    return '"' + "".join(f"\\u{ord(c):04x}" if i in places else c for i, c in enumerate(text)) + '"'


@given(st.sampled_from([ID, ID.upper(), ID.title()]), st.sets(st.integers(0, 35)), st.booleans())
def test_an_event_is_found_in_any_spelling(spelled: str, places: set[int], one_of_many: bool) -> None:
    value = b'{"a": 1, "event_id": ' + escaped(spelled, places).encode() + b"}"
    assert Ids([ID, OTHER] if one_of_many else [ID.upper()]).of(value) == ID


@given(uuids, uuids, st.lists(uuids, min_size=1, max_size=3))
@example(ID, OTHER, [OTHER])
def test_only_the_field_event_id_counts_where_the_value_is_an_object(held: str, mentioned: str, ids: list[str]) -> None:
    value = json.dumps({"event_id": held, "note": mentioned}).encode()
    expected = held.lower() if held.lower() in {each.lower() for each in ids} else None
    assert Ids(ids).of(value) == expected


@given(uuids, uuids, st.sets(st.integers(0, 35)), st.binary(min_size=4, max_size=4))
def test_a_value_that_a_schema_registry_frames_is_read_behind_its_prefix(
    held: str, mentioned: str, places: set[int], schema: bytes
) -> None:
    value = b'{"note": "' + mentioned.encode() + b'", "event_id": ' + escaped(held, places).encode() + b"}"
    assert Ids([ID]).of(b"\0" + schema + value) == Ids([ID]).of(value)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_value_that_is_no_json_is_found_by_the_bytes_of_the_id(before: bytes, after: bytes) -> None:
    value = b"{" + before + b" " + ID.upper().encode() + b" " + after
    assert Ids([ID]).of(value) == Ids([ID, OTHER]).of(value) == ID


@given(st.none() | st.binary(max_size=60))
def test_nothing_is_found_where_there_is_nothing(value: bytes | None) -> None:
    assert Ids([ID]).of(value) is None
    assert Ids([str(UUID(int=1)), ID]).of(value) is None


def test_an_id_of_any_form_can_be_searched_for() -> None:
    assert Ids(["Evt-1"]).of(b'{"event_id":"evt-1"}') == "evt-1"
    assert Ids(["evt-1"]).of(b'{"event_id":"evt-12"}') is None
    assert Ids(["evt-1"]).of(b'["evt-1"]') == "evt-1"


def test_times_are_said_in_their_largest_whole_unit() -> None:
    assert [duration(ms) for ms in (0, 1_500, 90_000, 60_000, 7_200_000, 2 * 86_400_000)] == [
        "0 s", "1.5 s", "90 s", "1 min", "2 h", "2 days",
    ]  # fmt: skip
    assert moment(1_795_269_600_000) == "2026-11-21 14:00:00 UTC"
    assert moment(2**62) == f"{2**62} ms"
