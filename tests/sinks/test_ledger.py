"""What the ledger rests on in ClickHouse: the rows of one flush are there together or not at all."""

from dataclasses import replace
from uuid import UUID

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.array_blocks import BLOCK_ROWS
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.ledger import Ledger
from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.settings import Settings

ROW = LedgerRow(Source("engagement.save.v1", UUID(int=1), 0), 0, 600, 0, 0, 1, 1, Outcomes(1), 1, 0, "a1b2")


def test_the_ledger_rows_of_a_flush_are_one_part_so_that_no_copy_holds_some_of_them(settings: Settings) -> None:
    """Hence a read-back of the highest version tells of every row before it (C6)."""
    migrate(settings.clickhouse)
    rows = [
        replace(ROW, slice_block=slice_block, start=slice_block, position=slice_block + 1)
        for slice_block in range(BLOCK_ROWS + 10)
    ]
    with Connection(settings.clickhouse, 30) as connection:
        connection.execute("SYSTEM STOP MERGES ingest_ledger")
        Ledger(connection).write_ledger(rows)
        parts = connection.rows(
            "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'ingest_ledger' AND active"
        )
        connection.execute(f"DROP DATABASE `{settings.clickhouse.database}`")
    assert parts == [(len(rows),)]
