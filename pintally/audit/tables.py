"""Reads the tables of ClickHouse: the newest version of each row (FINAL), one snapshot for each query."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import starmap
from types import TracebackType
from typing import IO, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pintally.audit.aggregates import AGGREGATES, Aggregate
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.flushed import SAME_OFFSETS, DeadLetter, Flushed, LedgerRow, LostRow, ReplacedRow, StartRow

_LETTER = np.dtype([
    ("offset", "<u8"), ("timestamp", "<i8"), ("outcome", "S1"), ("has_value", "S1"), ("digest", "V16"), ("epoch", "<u4")
])  # fmt: skip
_READ_ROWS = 50_000
NAMED = 2_000  # slices that a query names: ClickHouse takes 128 KiB of a parameter

CELLS = """
SELECT slice_block, toUInt32(arrived_at), {columns}, {value}, {trusted}, version
FROM {table} FINAL WHERE source = {{source:UInt64}}{chosen}
ORDER BY slice_block, arrived_at, {columns}"""
LABELS = """
SELECT DISTINCT arrayJoin([toString(surface), toString(platform)]) AS label
FROM pin_minutes WHERE source = {source:UInt64}
UNION DISTINCT
SELECT DISTINCT arrayJoin([toString(experiment), toString(arm)]) AS label
FROM experiment_cells WHERE source = {source:UInt64}
UNION DISTINCT
SELECT DISTINCT arrayJoin([toString(experiment), toString(arm)]) AS label
FROM arm_members WHERE source = {source:UInt64}"""
CHOSEN_CELLS = " AND (slice_block, toUInt32(arrived_at)) IN {slices:Array(Tuple(UInt32, UInt32))}"
LETTERS = """
SELECT offset, timestamp, CAST(if(outcome = 'late', 'l', 'd'), 'FixedString(1)'),
    CAST(if(isNull(value), 'n', 'v'), 'FixedString(1)'), MD5(ifNull(value, '')), epoch
FROM dead_letters FINAL
WHERE topic = {{topic:String}} AND topic_id = {{topic_id:UUID}} AND partition = {{partition:UInt32}}{chosen}
ORDER BY offset, epoch"""
CHOSEN_LETTERS = """
    AND arrayExists(range -> offset >= range.1 AND offset < range.2, {ranges:Array(Tuple(UInt64, UInt64))})"""
STARTS = """
SELECT source, topic, toString(topic_id) AS topic_id, partition, epoch,
    min(start) AS first, argMin(start_stream_time, start) AS first_stream_time, argMin(rules, start) AS first_rules
FROM ingest_starts
GROUP BY source, topic, topic_id, partition, epoch
ORDER BY topic, partition, topic_id, epoch"""
LEDGER = """
SELECT source, slice_block, toUInt32(arrived_at) AS arrived_at, start, start_stream_time, position, stream_time,
    counted, duplicate, late, invalid,
    gaps, cells_sum, epoch, rules, version, sums
FROM ingest_ledger FINAL
ORDER BY source, slice_block, arrived_at"""
LOST = """
SELECT source, epoch, toString(kind) AS kind, start, `end`, note FROM ingest_lost FINAL
ORDER BY source, epoch, start"""
REPLACED = """
SELECT source, topic, toString(topic_id) AS topic_id, partition, old_source, old_topic,
    toString(old_topic_id) AS old_topic_id, toString(how) AS how, epoch, old_end, start, collect_start,
    collect_stream_time, evidence, note
FROM ingest_replaced FINAL
WHERE how = 'same_offsets' OR (source, epoch) IN (SELECT source, epoch FROM ingest_starts)
ORDER BY epoch, topic, partition"""


class Spooled:
    """Rows of a fixed size in a temporary file; each iteration reads them from the beginning. Close it after use."""

    def __init__(self, file: IO[bytes], layout: "np.dtype[Any]") -> None:
        self._file, self._layout = file, layout

    def __iter__(self) -> Iterator[NDArray[Any]]:
        self._file.seek(0)
        while piece := self._file.read(self._layout.itemsize * _READ_ROWS):
            yield np.frombuffer(piece, self._layout)

    def __enter__(self) -> "Spooled":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Chosen:
    """Slices whose rows are read, ascending: their names, and their offsets as ranges [start, end)."""

    slices: list[tuple[int, int]]
    ranges: list[tuple[int, int]]


def read_cells(clickhouse: ClickHouse, aggregate: Aggregate, source: int, chosen: Chosen | None = None) -> Spooled:
    """Cells of an aggregate and source, in the order of its slices and then of their keys.

    One snapshot; of chosen slices one of so many as a query names.
    """
    only = CHOSEN_CELLS if chosen else ""
    named = {name: getattr(aggregate, name) for name in ("table", "columns", "value", "trusted")}
    sql = CELLS.format(**named, chosen=only)
    each = [{"slices": part} for part in _parts(chosen.slices)] if chosen else [{}]
    return Spooled(clickhouse.spool(sql, *({"source": source, **some} for some in each)), aggregate.layout)


def read_labels(clickhouse: ClickHouse, source: int) -> list[str]:
    """All surfaces, platforms, experiments and arms in the cells of a source."""
    return [row["label"] for row in clickhouse.rows(LABELS, source=source)]


def read_dead_letters(clickhouse: ClickHouse, source: Flushed, chosen: Chosen | None = None) -> Spooled:
    """Dead letters of a source by offset."""
    origin = {"topic": source.topic, "topic_id": source.topic_id, "partition": source.partition}
    sql = LETTERS.format(chosen=CHOSEN_LETTERS if chosen else "")
    each = [{"ranges": part} for part in _parts(chosen.ranges)] if chosen else [{}]
    return Spooled(clickhouse.spool(sql, *({**origin, **some} for some in each)), _LETTER)


def _parts(places: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for first in range(0, len(places), NAMED):
        yield places[first : first + NAMED]


def letters_of(pieces: Iterable[NDArray[Any]]) -> Iterator[DeadLetter]:
    """Dead letters one by one."""
    for piece in pieces:
        yield from starmap(_letter, piece.tolist())


def read_cell_sources(clickhouse: ClickHouse) -> set[int]:
    """Every source that has a cell."""
    tables = [f"SELECT DISTINCT source FROM {aggregate.table}" for aggregate in AGGREGATES]
    return {row["source"] for table in tables for row in clickhouse.rows(table)}


def read_flushed(clickhouse: ClickHouse) -> list[Flushed]:
    """Returns all sources. The ledger is read before the start rows, so that no source with a ledger row lacks one."""
    ledger: dict[int, list[LedgerRow]] = defaultdict(list)
    for row in clickhouse.rows(LEDGER):
        ledger[row.pop("source")].append(LedgerRow(**row))
    started = _by_source(clickhouse.rows(STARTS))
    lost: dict[int, list[LostRow]] = defaultdict(list)
    for row in clickhouse.rows(LOST):
        lost[row.pop("source")].append(LostRow(**row))
    replaced = read_replaced(clickhouse)
    found = []
    for (source, topic, topic_id, partition), starts in started.items():
        rows = tuple(ledger.pop(source, ()))
        begun = next((row for row in replaced if row.source == source and row.how != SAME_OFFSETS), None)
        by = tuple(row for row in replaced if row.old_source == source)
        found.append(Flushed(source, topic, UUID(topic_id), partition, starts, rows, tuple(lost[source]), begun, by))
    nameless = UUID(int=0)
    return found + [Flushed(source, "?", nameless, 0, (), tuple(rows)) for source, rows in ledger.items()]


def read_replaced(clickhouse: ClickHouse) -> list[ReplacedRow]:
    """Returns the replaced topics, by epoch."""
    rows = clickhouse.rows(REPLACED)
    for row in rows:
        row |= {name: UUID(row[name]) for name in ("topic_id", "old_topic_id")}
    return [ReplacedRow(**row) for row in rows]


def known_ids(replaced: Sequence[ReplacedRow]) -> dict[tuple[str, UUID], UUID]:
    """Returns the UUIDs in start rows of copies with the same offsets, by topic and UUID in Kafka.

    The latest copy is the log; the topics that it replaced have none.
    """
    latest = {(row.old_topic, row.old_topic_id): row for row in replaced if row.how == SAME_OFFSETS}
    taken = {(topic, topic_id): UUID(int=0) for topic, topic_id in latest}
    return taken | {(row.topic, row.topic_id): row.old_topic_id for row in latest.values()}


def read_starts(clickhouse: ClickHouse, source: int) -> tuple[StartRow, ...]:
    """The start rows of one source as they are now."""
    found = _by_source([row for row in clickhouse.rows(STARTS) if row["source"] == source])
    return next(iter(found.values()), ())


def source_id(source: Flushed) -> int:
    """Returns the correct number of a source: 8 bytes, big-endian, of blake2b-64 over `topic|uuid|partition`."""
    name = f"{source.topic}|{source.topic_id}|{source.partition}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")


def _by_source(rows: list[dict[str, Any]]) -> dict[tuple[int, str, str, int], tuple[StartRow, ...]]:
    found: dict[tuple[int, str, str, int], tuple[StartRow, ...]] = {}
    for row in rows:
        key = row["source"], row["topic"], row["topic_id"], row["partition"]
        start = StartRow(row["epoch"], row["first"], row["first_stream_time"], row["first_rules"])
        found[key] = (*found.get(key, ()), start)
    return found


def _letter(offset: int, timestamp: int, outcome: bytes, value: bytes, digest: bytes, epoch: int) -> DeadLetter:
    what = "late" if outcome == b"l" else "invalid"
    return DeadLetter(offset, timestamp, what, digest if value == b"v" else None, epoch)
