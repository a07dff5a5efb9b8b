"""Rolls up one hour or day by the steps of `steps`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import experiment_rows, rollup_rows
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR, SEALED, reopen
from pintally.sinks.clickhouse.sealing.rollup_rows import NOTHING, Sums
from pintally.sinks.clickhouse.sealing.steps import Steps, seal_window
from pintally.sinks.clickhouse.stale_rows import delete_superseded, has_superseded, in_hours


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


def roll_up(connection: Connection, window: Window, hour_seals: Sequence[int] = ()) -> RolledUp:
    """Seal one window, unless its minutes keep changing: an hour from minutes, a day from the roll-ups of its hours.

    The second look of an hour finds rows that came before its publication; a writer after it sees in `sealed_until`
    that it must open the hour (see `cells.write_cells`). A day needs no second look: its hours were sealed before, so
    every writer opens it. If the process ends before it, the next sealing looks (see `recheck`).
    """
    result = seal_window(connection, RollUp(connection, window, hour_seals))
    return RolledUp(window, result.seal, result.changed)


@dataclass(frozen=True)
class RollUp(Steps[Row, Sums]):
    """The steps of an hour or a day."""

    window: Window
    hour_seals: Sequence[int]

    @property
    def made_of(self) -> tuple[str, ...]:
        hours = ("pin_hours", "pin_hour_breakdowns") if self.hour_seals else ()
        return "sealed", "pin_minutes", "experiment_cells", "ingest_starts", *hours

    def read_row(self) -> Row:
        return read_row(self.connection, self.window)

    def is_sealed(self, row: Row) -> bool:
        return row.was_sealed and not row.is_open

    def insert(self, number: int) -> None:
        delete_superseded(self.connection, in_hours(self.window.start, self.window.end))
        insert(self.connection, self.window, number, self.hour_seals)

    def inserted(self, number: int) -> Sums:
        return rolled_up(self.connection, self.window, number)

    def expected(self) -> Sums:
        return minutes_of(self.connection, self.window)

    def publish(self, number: int, before: Row, sums: Sums, *, changed: bool) -> None:
        publish(self.connection, [self.window], Row(number, False, before.corrected or changed, sums))

    def is_unchanged(self, sums: Sums) -> bool:
        return self.window.resolution == "day" or is_unchanged(self.connection, self.window, sums)

    def reopen(self) -> None:
        reopen(self.connection, [self.window.start])


def is_unchanged(connection: Connection, window: Window, sums: Sums) -> bool:
    """Second look: whether the minutes still equal the roll-up, and none of them is superseded."""
    hours = in_hours(window.start, window.end)
    return minutes_of(connection, window) == sums and not has_superseded(connection, hours)


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
    """Insert the rows of the roll-up, of its breakdowns and of arms, with a number that is not published yet."""
    if window.resolution == "day" and not hour_seals:
        return
    given = {"start": window.start, "end": window.end, "number": number, "seals": list(hour_seals)}
    contents = contents_of(connection, window)
    for statement in rollup_rows.STATEMENTS[window.resolution][is_plain(contents)]:
        connection.execute(statement, given, settings=rollup_rows.SPILL)
    if window.resolution == "hour" and contents.has_arms:
        connection.execute(experiment_rows.INSERT, given)


def rolled_up(connection: Connection, window: Window, number: int) -> Sums:
    """Sums of the inserted rows."""
    return connection.one(rollup_rows.rows_sums(window.resolution), start=window.start, number=number)


def minutes_of(connection: Connection, window: Window) -> Sums:
    """Sums of the minutes now.

    Whether there are labels is asked first. What comes between both is found by the next look, as any cell that comes
    before a publication.
    """
    sums = rollup_rows.cells_sums(window.resolution, is_plain(contents_of(connection, window)))
    return connection.one(sums, start=window.start, end=window.end)


class Contents(NamedTuple):
    """Which kinds of cells there are in a window."""

    names_labels: bool  # one that names a surface or a platform
    has_arms: bool  # one of an arm of an experiment


def contents_of(connection: Connection, window: Window) -> Contents:
    """Asks for both in one statement."""
    asked = f"SELECT ({rollup_rows.HAS_LABELS}) > 0, ({experiment_rows.HAS_ARMS}) > 0"
    return Contents(*map(bool, connection.one(asked, start=window.start, end=window.end)))


def is_plain(contents: Contents) -> bool:
    """Whether there are no breakdowns to make."""
    return not contents.names_labels


def publish(connection: Connection, windows: Sequence[Window], row: Row) -> None:
    """The same row for each window, in one insert, all or none; it holds unless a higher seal is there."""
    connection.insert(
        "sealed",
        SEALED,
        [(window.resolution, window.start, row.seal, row.is_open, row.corrected, *row.sums) for window in windows],
    )
