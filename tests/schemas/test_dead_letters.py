"""Dead letters come back from the dead-letter topic as they went."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.dead_letters import NAMES, from_record, to_headers
from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source

words = st.text(st.characters(codec="utf-8"), max_size=20)
contents = st.none() | st.binary(max_size=40)
headers = st.lists(st.tuples(words | st.sampled_from(NAMES), contents), max_size=10).map(tuple)
rows = st.builds(
    DeadLetterRow,
    source=st.builds(Source, topic=words, topic_id=st.uuids(), partition=st.integers(0, 2**31 - 1)),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**63 - 1),
    outcome=st.sampled_from(["late", "invalid"]),
    reason=words,
    key=contents,
    value=contents,
    headers=headers,
)


@given(rows)
def test_a_dead_letter_is_read_as_it_was_written(row: DeadLetterRow) -> None:
    assert from_record(row.key, row.value, to_headers(row)) == row


@given(rows, rows)
def test_a_letter_that_comes_back_keeps_the_headers_of_its_first_death(
    first: DeadLetterRow, second: DeadLetterRow
) -> None:
    again = DeadLetterRow(
        source=second.source,
        offset=second.offset,
        timestamp=second.timestamp,
        outcome=second.outcome,
        reason=second.reason,
        key=first.key,
        value=first.value,
        headers=tuple(to_headers(first)),
    )
    assert from_record(again.key, again.value, to_headers(again)) == again


@given(rows)
def test_the_last_header_of_each_name_is_ours(row: DeadLetterRow) -> None:
    last = dict(to_headers(row))
    assert last["__streams.errors.topic"] == row.source.topic.encode()
    assert last["__streams.errors.partition"] == str(row.source.partition).encode()
    assert last["__streams.errors.offset"] == str(row.offset).encode()
    assert last["__streams.errors.message"] == row.reason.encode()
    assert last["pintally.outcome"] == row.outcome.encode()


@given(headers)
def test_a_record_of_somebody_else_is_refused_and_its_headers_named(
    others: tuple[tuple[str, bytes | None], ...],
) -> None:
    with pytest.raises(PintallyError, match="no dead letter of Pintally"):
        from_record(None, None, others[: len(NAMES) - 1])


@pytest.mark.parametrize("name", ["__streams.errors.partition", "__streams.errors.offset", "pintally.topic.id"])
@pytest.mark.parametrize("content", [None, b"", b"x", b"\xff"])
def test_a_header_that_does_not_say_what_it_must_is_refused(name: str, content: bytes | None) -> None:
    good = dict.fromkeys(NAMES, b"1") | {"pintally.topic.id": b"0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11"}
    from_record(None, None, list(good.items()))
    with pytest.raises(PintallyError):
        from_record(None, None, list((good | {name: content}).items()))


def test_a_header_name_that_is_not_utf_8_is_written_so_that_every_client_can_read_it() -> None:
    source = Source("t", UUID(int=1), 0)
    raw = b"caf\xc3\xa9\xff".decode("utf-8", "surrogateescape")
    row = DeadLetterRow(source, 1, 2, "invalid", "why", None, None, ((raw, b"\xff"),))
    assert to_headers(row)[0] == ("caf\u00e9\\xff", b"\xff")
