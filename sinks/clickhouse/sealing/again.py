"""Windows of features that are sealed again (C28): those that are open, and those that do not fit their contents.

An hour does not fit if it was sealed for another cut than the one at which it became complete: a sealer did that which
ended, or was overtaken, before that cut. A base does not fit if its check sum is not that of its hours: one of them was
sealed with other sums while the base was made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.base_rows import WEEK
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Cuts, read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import BASE, HOURS, KEPT, TILES, FeatureSeal, Name, read_seals
from pintally.sinks.clickhouse.sealing.known_windows import Base, Bucket, CompleteHour, KnownWindow
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR
from pintally.sinks.clickhouse.sealing.steps import seal_window

A_PASS = 24  # buckets and hours, the newest first: new cuts are published between two passes
BASES_A_PASS = 1
READ = f"{KEPT} AND (is_open OR kind != 'tiles')"


@dataclass(frozen=True, slots=True)
class Again:
    """What was sealed again."""

    sealed: tuple[Name, ...] = ()
    changed: tuple[Name, ...] = ()  # with other sums than before
    unsettled: tuple[Name, ...] = ()  # their cells kept changing
    more: bool = False  # others wait


def seal_again(connection: Connection) -> Again:
    """Seal some of them: hours and buckets, and then a base."""
    cuts = read_cuts(connection)
    windows = list(_hours_and_buckets(connection, cuts, read_seals(connection, READ)))
    done = [_seal(connection, window) for window in windows[:A_PASS]]
    bases = list(_bases(connection, cuts, read_seals(connection, READ)))
    done += [_seal(connection, base) for base in bases[:BASES_A_PASS]]
    return Again(
        tuple(name for name, seal, _ in done if seal),
        tuple(name for name, _, changed in done if changed),
        tuple(name for name, seal, _ in done if not seal),
        len(windows) > A_PASS or len(bases) > BASES_A_PASS,
    )


def _seal(connection: Connection, window: KnownWindow) -> tuple[Name, int, bool]:
    result = seal_window(connection, window)
    return window.name, result.seal, result.changed


def known_window(connection: Connection, cuts: Cuts, row: FeatureSeal) -> KnownWindow | None:
    """The bucket or hour of a row; None if no published cut needs it: it is sealed with the cut that does."""
    if row.kind == TILES and row.start < cuts.newest:
        return Bucket(connection, row.start, row.start + BUCKET, None, cuts.hours_until_at(row.start))
    complete_at = cuts.complete_at(row.start) if row.kind == HOURS else None
    return None if complete_at is None else CompleteHour(connection, row.start, complete_at)


def _hours_and_buckets(connection: Connection, cuts: Cuts, rows: Iterable[FeatureSeal]) -> Iterator[KnownWindow]:
    """The newest first."""
    for row in sorted(rows, key=lambda row: -row.start):
        window = known_window(connection, cuts, row)
        if window and (row.is_open or row.complete_at != window.complete_at):
            yield window


def _bases(connection: Connection, cuts: Cuts, rows: Iterable[FeatureSeal]) -> Iterator[KnownWindow]:
    """First that of readers of the newest cut, then the oldest: each is made from the one of the day before."""
    rows, current = list(rows), cuts.hours_until // DAY * DAY
    hours = {row.start: row.sums.check_sum for row in rows if row.kind == HOURS}
    for row in sorted((row for row in rows if row.kind == BASE), key=lambda row: (row.start != current, row.start)):
        complete_at = cuts.complete_at(row.start - HOUR)
        if complete_at is not None and (row.is_open or row.sums.check_sum != _check_sum(hours, row.start)):
            yield Base(connection, row.start, complete_at)


def _check_sum(hours: dict[int, int], day: int) -> int:
    """What the check sum of a base must be."""
    month = sum(hours.get(hour, 0) for hour in range(day - 30 * DAY, day, HOUR))
    week = sum(hours.get(hour, 0) for hour in range(day - 7 * DAY, day, HOUR))
    return (month + week * WEEK) % 2**64
