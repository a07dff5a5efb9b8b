"""Rolls up one hour or day: number, insert, check, publish. After a crash between two steps readers see no change."""

from collections.abc import Sequence
from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, NAMES, each
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR, SEALED, reopen
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.stale_rows import delete_superseded, has_superseded

ATTEMPTS = 5


Sums = tuple[int, ...]  # pins, then events of each action. Two windows with equal sums are taken for equal
NOTHING: Sums = (0,) * (1 + len(COLUMNS))


@dataclass(frozen=True, slots=True)
class Window:
    """An hour or a day that starts `start` seconds after 1970."""

    resolution: str  # 'hour' or 'day'
    start: int

    @property
    def end(self) -> int:
        """Seconds since 1970, exclusive."""
        return self.start + (HOUR if self.resolution == "hour" else DAY)


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a window in `sealed` with the highest seal number."""

    seal: int = 0
    is_open: bool = True
    corrected: bool = False
    sums: Sums = NOTHING

    @property
    def was_sealed(self) -> bool:
        """Whether the window was ever sealed."""
        return self.seal > 0


@dataclass(frozen=True, slots=True)
class RolledUp:
    """The result for one window. `seal` is 0 if its minutes kept changing; then readers still take the minutes."""

    window: Window
    seal: int = 0
    changed: bool = False  # its sums differ from those that were sealed before


MINUTES = f"""
SELECT pin_id, {each("sumIf(events, action = {number}) AS {column}")}, max(m.updated_at) AS updated_at
FROM pin_minutes AS m FINAL
WHERE hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')
GROUP BY pin_id
HAVING {" + ".join(COLUMNS)} > 0
"""
HOURS = f"""
SELECT pin_id, {each("sum(h.{column}) AS {column}")}, max(h.updated_at) AS updated_at
FROM pin_hours AS h
WHERE window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC') AND seal IN %(seals)s
GROUP BY pin_id
"""
TABLES = {"hour": "pin_hours", "day": "pin_days"}
SUMS = f"SELECT count(), {each('sum({column})')} FROM"


def roll_up(connection: Connection, window: Window, hour_seals: Sequence[int] = ()) -> RolledUp:
    """Seal one window, unless its minutes keep changing.

    1. Allocate a number, before anything is read (C23).
    2. Read the row of the window in `sealed`; another sealer may have sealed it meanwhile.
    3. Delete superseded rows (C19) and insert the roll-up with that number; no reader sees it yet.
    4. Compare it with the minutes, which are read again on this connection.
    5. Publish: one row in `sealed`. If a higher number exists, that one holds.
    6. Read the minutes again. This finds rows that came between 4 and 5; a writer after 5 sees in `sealed_until` that
       it must open the hour (see `cells.write_cells`). A day needs no second check: its hours were sealed before, so
       every writer opens it. If the process ends before this check, the next sealing does it (see `recheck`).

    An hour is rolled up from minutes, a day from the roll-ups `hour_seals` of its hours.
    """
    for _ in range(ATTEMPTS):
        number = allocate_seal_id(connection)
        before = read_row(connection, window)
        if before.was_sealed and not before.is_open:
            return RolledUp(window, before.seal)
        if before.seal > number:
            continue
        delete_superseded(connection, window.start, window.end)
        insert(connection, window, number, hour_seals)
        sums = rolled_up(connection, window, number)
        if sums != minutes_of(connection, window):
            continue
        changed = before.was_sealed and before.sums != sums
        publish(connection, [window], Row(number, False, before.corrected or changed, sums))
        if window.resolution == "day" or is_unchanged(connection, window, sums):
            return RolledUp(window, number, changed)
        reopen(connection, [window.start])
    return RolledUp(window)


def is_unchanged(connection: Connection, window: Window, sums: Sums) -> bool:
    """Step 6: whether the minutes still equal the roll-up, and none of them is superseded."""
    return minutes_of(connection, window) == sums and not has_superseded(connection, window.start, window.end)


def read_row(connection: Connection, window: Window) -> Row:
    """Returns the row that holds for a window now."""
    rows = connection.rows(
        f"SELECT {', '.join(SEALED[2:])} FROM sealed FINAL"
        " WHERE resolution = %(resolution)s AND window_start = toDateTime(%(start)s, 'UTC')",
        resolution=window.resolution,
        start=window.start,
    )
    if not rows:
        return Row()
    number, is_open, corrected, *sums = rows[0]
    return Row(number, is_open, corrected, tuple(sums))


def insert(connection: Connection, window: Window, number: int, hour_seals: Sequence[int]) -> None:
    """Step 3: insert the rows of the roll-up, with a number that is not published yet."""
    counts = f"pin_id, {NAMES}, updated_at"
    source = MINUTES if window.resolution == "hour" else HOURS
    if window.resolution == "day" and not hour_seals:
        return
    connection.execute(
        f"INSERT INTO {TABLES[window.resolution]} (window_start, {counts}, seal)"
        f" SELECT toDateTime(%(start)s, 'UTC'), {counts}, %(number)s FROM ({source})",
        {"start": window.start, "end": window.end, "number": number, "seals": list(hour_seals)},
    )


def rolled_up(connection: Connection, window: Window, number: int) -> Sums:
    """Step 4, one side: sums of the inserted rows."""
    table = TABLES[window.resolution]
    where = "window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
    return connection.one(f"{SUMS} {table} WHERE {where}", start=window.start, number=number)


def minutes_of(connection: Connection, window: Window) -> Sums:
    """Step 4, other side: sums of the minutes now."""
    return connection.one(f"{SUMS} ({MINUTES})", start=window.start, end=window.end)


def publish(connection: Connection, windows: Sequence[Window], row: Row) -> None:
    """Step 5: the same row for each window, in one insert, all or none; it holds unless a higher seal is there."""
    connection.insert(
        "sealed",
        SEALED,
        [(window.resolution, window.start, row.seal, row.is_open, row.corrected, *row.sums) for window in windows],
    )
