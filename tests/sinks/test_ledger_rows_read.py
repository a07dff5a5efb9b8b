"""What is read of the ledger by a flush, and when a source begins, does not depend on its age: rows are counted."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from pintally.schemas.rows import Newest, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.claims import NO_ROWS
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.ledger import Ledger
from tests.support.engines import TestEngines, tables

pytestmark = pytest.mark.engines

SOURCES = [Source("engagement.save.v1", UUID(int=1), partition) for partition in range(12)]
DAY, HALF_A_YEAR = 144, 26_250  # slices of a source: one for each ten minutes
SLICES_A_BLOCK, BUCKET, FIRST = 40, 600, 1_600_000_200
FILL = f"""
INSERT INTO ingest_ledger (source, slice_block, arrived_at, start, position, version)
SELECT %(source)s, intDiv(number, {SLICES_A_BLOCK}), {FIRST} + number * {BUCKET}, number * 10, position, position
FROM (SELECT number, number * 10 + 10 AS position FROM numbers(%(slices)s))"""


@pytest.fixture
def connection(engines: TestEngines) -> Iterator[Connection]:
    with tables(engines.addresses) as address, Connection(address) as opened:
        Ledger(opened).write_starts([StartRow(source, 0, 0, 0, Rules().to_json()) for source in SOURCES])
        yield opened


def filled(connection: Connection, slices: int) -> dict[Source, tuple[int, int]]:
    """A ledger of so many slices a source, merged; where each source was flushed last."""
    for source in SOURCES:
        connection.execute(FILL, {"source": source.id, "slices": slices})
    connection.execute("OPTIMIZE TABLE ingest_ledger FINAL")
    last = slices - 1
    return dict.fromkeys(SOURCES, (last // SLICES_A_BLOCK, FIRST + last * BUCKET))


def counted(connection: Connection, ask: Callable[[Ledger], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int]:
    """What it answers, and how many rows ClickHouse read of all tables for it."""
    read, execute = [0], connection.execute

    def counting(*args: Any, **kwargs: Any) -> Any:
        answer = execute(*args, **kwargs)
        read[0] += connection._client.last_query.progress.rows
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(connection, "execute", counting)
        return ask(Ledger(connection)), read[0]


def test_a_read_back_reads_as_much_of_an_old_ledger_as_of_a_young_one(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C6."""
    for slices in (DAY, HALF_A_YEAR):
        first = filled(connection, slices)
        whole, all_rows = counted(connection, lambda ledger: ledger.read_back(SOURCES), monkeypatch)
        found, rows = counted(connection, lambda ledger: ledger.read_back(SOURCES, first), monkeypatch)  # noqa: B023
        assert found == whole == dict.fromkeys(SOURCES, Newest(0, slices * 10))
        assert all_rows >= slices * len(SOURCES)
        assert rows <= 2 * 256 * len(SOURCES), f"{rows} rows of {all_rows}"


def test_a_row_that_is_gone_is_missing_in_what_is_read_back(connection: Connection) -> None:
    """C6: the rows before it do not stand for it."""
    first, lost = filled(connection, DAY), SOURCES[3]
    connection.execute(f"ALTER TABLE ingest_ledger DELETE WHERE source = {lost.id} AND version = {DAY * 10}")
    assert Ledger(connection).read_back(SOURCES, first)[lost] == Newest(0, None)


def test_who_begins_a_source_reads_no_slice_of_the_others(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C12."""
    filled(connection, HALF_A_YEAR)
    first = dict.fromkeys(SOURCES, NO_ROWS)
    found, rows = counted(connection, lambda ledger: ledger.read_ledgers(SOURCES, first), monkeypatch)
    assert {(len(ledger.starts), ledger.rows) for ledger in found.values()} == {(1, ())}
    assert rows <= 3 * 256 * len(SOURCES), f"{rows} rows"
