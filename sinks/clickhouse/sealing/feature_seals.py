"""The rows of `feature_seals`: which rows of the tables of features count. Times in seconds since 1970.

A window that is opened keeps the rows that were published last, so that readers see a change once it is whole (C28).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED, COUNTS, each_count
from pintally.sinks.clickhouse.replicas import active_quorum
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id

TILES, HOURS, BASE = "tiles", "hours", "base"
Name = tuple[str, int]  # kind and start of a window
NAMES = (
    "kind", "window_start", "seal", "rows_seal", "is_open", "corrected", "complete_at", "pins", *COUNTED, "check_sum",
)  # fmt: skip
# Windows whose cells, and for a base whose hours of 30 days, are surely kept. Older ones stay as they are.
KEPT = "window_start >= toStartOfDay(now('UTC')) - INTERVAL if(kind = 'base', 58, 89) DAY"
AT_ONCE = 2000  # windows that are named in one statement


@dataclass(frozen=True, slots=True)
class Known:
    """Sums of a window. The check sum is of all its counts, so that equal sums mean equal rows."""

    counts: tuple[int, ...] = (0,) * len(COUNTED)
    check_sum: int = 0
    pins: int = field(default=0, compare=False)  # rows
    tops_fit: bool = True  # whether the tops beside them are those of these rows


@dataclass(frozen=True, slots=True)
class FeatureSeal:
    """The row of a window with the highest seal number."""

    kind: str
    start: int
    seal: int = 0
    rows_seal: int = 0
    is_open: bool = True
    corrected: bool = False
    complete_at: int = 0
    sums: Known = Known()

    @property
    def was_sealed(self) -> bool:
        """Whether the window was ever sealed."""
        return self.rows_seal > 0

    @property
    def name(self) -> Name:
        """Kind and start."""
        return self.kind, self.start


READ = f"""
SELECT toString(kind), toUnixTimestamp(window_start), seal, rows_seal, is_open, corrected, toUnixTimestamp(complete_at),
    pins, check_sum, {COUNTS}
FROM feature_seals FINAL
"""
OPEN = f"""
INSERT INTO feature_seals ({", ".join(NAMES)})
SELECT w.1, toDateTime(w.2, 'UTC'), %(number)s, s.rows_seal, true, s.corrected, s.complete_at, s.pins,
    {each_count("s.{count}")}, s.check_sum
FROM (SELECT arrayJoin(%(windows)s) AS w) AS opened
LEFT JOIN (SELECT * FROM feature_seals FINAL) AS s ON toString(s.kind) = w.1 AND toUnixTimestamp(s.window_start) = w.2
"""
OPEN_FROM = f"""
INSERT INTO feature_seals ({", ".join(NAMES)})
SELECT kind, window_start, %(number)s, rows_seal, true, corrected, complete_at, pins, {COUNTS}, check_sum
FROM feature_seals FINAL
WHERE (kind = 'tiles' AND window_start >= toDateTime(%(bucket)s, 'UTC')
    OR kind = 'hours' AND window_start >= toDateTime(%(hour)s, 'UTC')) AND {KEPT}
"""


def read_seals(connection: Connection, where: str, **parameters: object) -> list[FeatureSeal]:
    """The rows that hold and meet a condition."""
    rows = connection.rows(f"{READ} WHERE {where}", **parameters)
    return [_seal_of(*row) for row in rows]


def read_seal(connection: Connection, kind: str, start: int) -> FeatureSeal:
    """The row of one window that holds."""
    where = "kind = %(kind)s AND window_start = toDateTime(%(start)s, 'UTC')"
    found = read_seals(connection, where, kind=kind, start=start)
    return found[0] if found else FeatureSeal(kind, start)


def publish(connection: Connection, rows: Iterable[FeatureSeal]) -> None:
    """Insert rows, all or none; each holds unless a higher number is there."""
    connection.insert("feature_seals", NAMES, [_values(row) for row in rows])


def open_windows(connection: Connection, windows: Collection[Name]) -> None:
    """Have these windows sealed again. A number that is allocated here is above that of every sealing that read cells
    before, so none of them can close the window again.
    """
    if not windows:
        return
    number = allocate_seal_id(connection)
    sync(connection, "feature_seals")
    left, quorum = iter(sorted(windows)), active_quorum(connection)
    while some := list(islice(left, AT_ONCE)):
        connection.execute(OPEN, {"windows": some, "number": number}, settings=quorum)


def open_features(connection: Connection) -> set[Name]:
    """The windows that are open."""
    return {row.name for row in read_seals(connection, "is_open")}


def open_from(connection: Connection, bucket: int, hour: int) -> None:
    """Have buckets and hours sealed again that start at these times or later, in one insert."""
    number = allocate_seal_id(connection)
    sync(connection, "feature_seals")
    given = {"number": number, "bucket": bucket, "hour": hour}
    connection.execute(OPEN_FROM, given, settings=active_quorum(connection))


def _seal_of(
    kind: str, start: int, seal: int, rows_seal: int, is_open: bool, corrected: bool, complete_at: int, *sums: int
) -> FeatureSeal:
    pins, check_sum, *counts = sums
    return FeatureSeal(
        kind, start, seal, rows_seal, is_open, corrected, complete_at, Known(tuple(counts), check_sum, pins)
    )


def _values(row: FeatureSeal) -> Sequence[object]:
    sums = row.sums
    head = (row.kind, row.start, row.seal, row.rows_seal, row.is_open, row.corrected, row.complete_at)
    return (*head, sums.pins, *sums.counts, sums.check_sum)
