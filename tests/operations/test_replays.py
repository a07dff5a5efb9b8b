"""What a replay says of its origin is read as it was written."""

from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.replays import NAMES, Origin, origin_of, to_headers
from pintally.schemas.rows import DeadLetterRow
from tests.schemas.test_dead_letters import headers, rows, words


@given(rows, st.lists(words, max_size=3), words)
def test_an_origin_is_read_as_it_was_written(row: DeadLetterRow, corrected: list[str], by: str) -> None:
    origin = Origin(row.source, row.offset)
    assert origin_of([*row.headers, *to_headers(origin, row.outcome, corrected, by)]) == origin


@given(rows, rows)
def test_a_replay_of_a_replay_names_the_second_letter(first: DeadLetterRow, second: DeadLetterRow) -> None:
    earlier = to_headers(Origin(first.source, first.offset), first.outcome, [], "a")
    origin = Origin(second.source, second.offset)
    assert origin_of([*earlier, *to_headers(origin, second.outcome, ["pin_id"], "b")]) == origin


@given(headers | st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.binary(max_size=40)), max_size=10))
def test_headers_of_others_name_no_origin_or_a_whole_one(foreign: list[tuple[str, bytes | None]]) -> None:
    found = origin_of(foreign)
    assert found is None or origin_of(to_headers(found, "invalid", [], "")) == found
