"""What a DELETE has deleted on one replica, to be deleted on the others: rows of a key up to some version."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pintally.schemas.cells import CellRows
from tests.support.memory_sink import MemorySession, MemorySink

Rows = dict[Any, Any]


@dataclass(frozen=True)
class Erased:
    """Of one table."""

    rows_of: Callable[[MemorySink], Rows]
    order: Callable[[Any], int]
    keys: Mapping[Any, int]  # -> the version up to which rows are deleted

    def erase(self, sink: MemorySink) -> None:
        """Do the same on another replica."""
        rows = self.rows_of(sink)
        for key, version in self.keys.items():
            if key in rows and self.order(rows[key]) <= version:
                del rows[key]

    @staticmethod
    def by(sink: MemorySink, delete: Callable[[MemorySession], object]) -> Iterator[tuple[str, "Erased"]]:
        """What `delete` would delete of each table of a replica; it is not done."""
        copy = MemorySink()
        copy.starts, copy.lost, copy.said = sink.starts, sink.lost, sink.said
        copy.ledger, copy.dead_letters = dict(sink.ledger), dict(sink.dead_letters)
        for kind, rows in sink.tables.items():
            copy.tables[kind] = dict(rows)
        delete(MemorySession(copy))
        for table, rows_of, order in _tables(sink):
            left, found = rows_of(copy), rows_of(sink)
            if keys := {key: order(row) for key, row in found.items() if key not in left}:
                yield table, Erased(rows_of, order, keys)


def _tables(sink: MemorySink) -> Iterator[tuple[str, Callable[[MemorySink], Rows], Callable[[Any], int]]]:
    yield "ingest_ledger", lambda sink: sink.ledger, lambda row: row.version
    yield "dead_letters", lambda sink: sink.dead_letters, lambda row: row.epoch
    for kind in list(sink.tables):
        yield kind.table, partial(_cells, kind), lambda values: values[0]


def _cells(kind: type[CellRows], sink: MemorySink) -> Rows:
    return sink.tables[kind]
