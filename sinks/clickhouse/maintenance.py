"""Reads and deletes single slices, for `repair` and `accept-loss`.

The tables of cells are not sorted by source, so each query reads all rows of a table, but only the needed columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import CELL_TABLES, Rows
from pintally.schemas.rows import LAST_OFFSET, NO_CELLS, DeadLetterRow, LedgerRow, SliceSum
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.cells import select_cells
from pintally.sinks.clickhouse.connection import OnConnection
from pintally.sinks.clickhouse.dead_letters import WHAT, letter_of
from pintally.sinks.clickhouse.replicas import refuse_absent
from pintally.sinks.maintenance import CellTotals

SLICE = "source = %(source)s AND slice_block = %(slice_block)s AND arrived_at = toDateTime(%(arrived_at)s, 'UTC')"
ORIGIN = "topic = %(topic)s AND topic_id = %(topic_id)s AND partition = %(partition)s"
NEWEST = "ORDER BY offset, epoch DESC LIMIT 1 BY offset"  # a superseded letter may be there beside


class Slices(OnConnection):
    """The slices of a session, one by one."""

    def refuse_absent(self) -> None:
        refuse_absent(self.connection, "DELETE")

    def slice_sums(self, source: Source) -> dict[tuple[int, int], SliceSum]:
        refuse_absent(self.connection, "DELETE of rows of slices")  # here already, before anything was changed
        sync(self.connection, *(kind.table for kind in CELL_TABLES))
        found: dict[tuple[int, int], SliceSum] = {}
        for kind in CELL_TABLES:
            for slice_block, arrived_at, check_sum, version, position in self.connection.rows(
                f"SELECT slice_block, toUnixTimestamp(arrived_at), sum({kind.values()[0]}), max(version),"
                " max(bitAnd(version, %(positions)s))"
                f" FROM {kind.table} FINAL WHERE source = %(source)s GROUP BY slice_block, arrived_at",
                source=source.id,
                positions=LAST_OFFSET,
            ):
                known = found.get((slice_block, arrived_at), NO_CELLS)
                found[slice_block, arrived_at] = known.with_table(kind.table, check_sum, version, position)
        return found

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        sync(self.connection, "pin_minutes")
        found = self.connection.execute(
            "SELECT toUnixTimestamp(minute), pin_id, sum(events) FROM pin_minutes FINAL WHERE source IN %(ids)s"
            " GROUP BY minute, pin_id HAVING sum(events) > 0 ORDER BY minute, pin_id",
            {"ids": tuple(source.id for source in sources)},
            columnar=True,
        ) or [[], [], []]
        minute, pin_id, count = found
        return CellTotals(np.asarray(minute, np.uint32), np.asarray(pin_id, np.uint64), np.asarray(count, np.uint64))

    def read_slice(self, kind: type[Rows], source: Source, slice_block: int, arrived_at: int) -> Rows:
        name = {"source": source.id, "slice_block": slice_block, "arrived_at": arrived_at}
        sync(self.connection, kind.table)
        return select_cells(self.connection, kind, SLICE, **name)

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        of = "" if epoch is None else " AND bitShiftRight(version, 48) = %(epoch)s"
        name = {"source": source.id, "slice_block": slice_block, "arrived_at": arrived_at, "epoch": epoch}
        for kind in CELL_TABLES:
            self._delete(f"DELETE FROM {kind.table} WHERE {SLICE}{of}", name)

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        for row in rows:
            name = {
                "source": row.source.id,
                "slice_block": row.slice_block,
                "arrived_at": row.arrived_at,
                "version": row.version,
            }
            self._delete(f"DELETE FROM ingest_ledger WHERE {SLICE} AND version = %(version)s", name)

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sync(self.connection, "dead_letters")
        found = self.connection.execute(
            f"SELECT offset, outcome = 'late' FROM dead_letters FINAL WHERE {ORIGIN} {NEWEST}",
            _origin(source),
            columnar=True,
        ) or [[], []]
        offsets, late = np.asarray(found[0], np.int64), np.asarray(found[1], np.bool_)
        return offsets[late], offsets[~late]

    def read_dead_letters(self, source: Source, start: int, end: int) -> list[DeadLetterRow]:
        rows = self.connection.execute(
            f"SELECT {WHAT} FROM dead_letters FINAL"
            f" WHERE {ORIGIN} AND offset >= %(start)s AND offset < %(end)s {NEWEST}",
            {**_origin(source), "start": start, "end": end},
            settings={"strings_as_bytes": True},
        )
        return [letter_of(source, *row) for row in rows]

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        if offsets:
            self._delete(
                f"DELETE FROM dead_letters WHERE {ORIGIN} AND offset IN %(offsets)s",
                {**_origin(source), "offsets": tuple(offsets)},
            )

    def forget(self, source: Source) -> None:
        for table in (*(kind.table for kind in CELL_TABLES), "ingest_ledger", "dead_letters"):
            self._delete(f"DELETE FROM {table} WHERE source = %(source)s", {"source": source.id})

    def _delete(self, statement: str, parameters: Mapping[str, object]) -> None:
        """It waits for every replica, so none may be away."""
        refuse_absent(self.connection, "DELETE")
        self.connection.execute(statement, parameters)


def _origin(source: Source) -> dict[str, object]:
    return {"topic": source.topic, "topic_id": source.topic_id, "partition": source.partition}
