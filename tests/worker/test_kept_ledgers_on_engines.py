"""The kept ledger is what the whole one says, on a real ClickHouse: while slices come, rules change, rows are gone."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.ledger import Ledger
from pintally.streams.counting.log import Offsets
from pintally.streams.operations.progress import Progress, progress_of
from pintally.streams.worker.kept_ledgers import KeptLedgers
from tests.support.engines import TestEngines, tables

SOURCES = [Source("engagement.save.v1", UUID(int=1), partition) for partition in range(2)]
BUCKET = 600


@pytest.fixture
def connection(engines: TestEngines) -> Iterator[Connection]:
    with tables(engines.addresses) as address, Connection(address) as opened:
        yield opened


def slice_of(source: Source, number: int, position: int | None = None, epoch: int = 0) -> LedgerRow:
    """The slice `number` of ten offsets, of a bucket of its own; of it what is below `position`."""
    start = number * 10
    end = start + 10 if position is None else position
    outcomes = Outcomes(end - start)
    return LedgerRow(source, 0, number * BUCKET, start, number * BUCKET * 1000, end, (number + 1) * BUCKET * 1000 - 1,
                     outcomes, end - start, epoch, "rules")  # fmt: skip


def same(kept: KeptLedgers, connection: Connection) -> list[Progress]:
    """What the kept ledger says, after it was compared with the whole one."""
    offsets = Offsets(0, 1_000_000, 1_000_000)
    whole = Ledger(connection).read_ledgers(SOURCES)
    found = kept.read(Ledger(connection).read_ledgers, SOURCES)
    progress = [progress_of(source, found[source], offsets) for source in SOURCES]
    assert progress == [progress_of(source, whole[source], offsets) for source in SOURCES]
    return progress


def test_it_is_what_the_whole_ledger_says_whatever_happens(connection: Connection) -> None:
    kept, ledger, first = KeptLedgers(), Ledger(connection), SOURCES[0]
    assert [each.position for each in same(kept, connection)] == [None, None]
    ledger.write_starts([StartRow(source, 0, 0, 0, Rules().to_json()) for source in SOURCES])
    same(kept, connection)
    for number in range(8):
        ledger.write_ledger([slice_of(first, number, number * 10 + 4)])
        assert same(kept, connection)[0].position == number * 10 + 4
        ledger.write_ledger([slice_of(first, number)])
        same(kept, connection)
    ledger.write_ledger([slice_of(SOURCES[1], number) for number in range(5)])
    assert [each.position for each in same(kept, connection)] == [80, 50]
    rows = kept.read(Ledger(connection).read_ledgers, SOURCES)[first].rows
    assert len(rows) < 8  # not all of it was read again
    ledger.write_starts([StartRow(first, 1, 60, 0, Rules(allowed_lateness_ms=60_000).to_json())])
    assert same(kept, connection)[0].position == 60
    ledger.write_ledger([slice_of(first, 6, epoch=1)])
    assert same(kept, connection)[0].position == 70
    connection.execute("TRUNCATE TABLE ingest_ledger")
    ledger.write_ledger([slice_of(first, 0)])
    assert [each.position for each in same(kept, connection)] == [10, 0]
