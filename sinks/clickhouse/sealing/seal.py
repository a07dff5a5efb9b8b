"""Seals final hours: rolls them up, checks the sums, and then publishes the roll-ups to readers.

Idempotent, and safe to run twice at once. The worker decides which hours are final (C21 and C22).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.sealing.gone_minutes import seal_as_before
from pintally.sinks.clickhouse.sealing.recheck import recheck
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR, reopen
from pintally.sinks.clickhouse.sealing.rollup import RolledUp, Row, Window, publish, roll_up
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sealing.session import sealing_connection

# Shard 0 has the arms of all pins (C33), so an hour there may have arms alone.
WITHIN = "hour >= toDateTime(%(first)s, 'UTC') AND hour < toDateTime(%(until)s, 'UTC')"
FILLED = f"""
SELECT DISTINCT toUnixTimestamp(hour) FROM pin_minutes WHERE {WITHIN}
UNION DISTINCT
SELECT DISTINCT toUnixTimestamp(hour) FROM experiment_cells WHERE {WITHIN}
"""
FIRST = """
SELECT count(), toUnixTimestamp(min(first)) FROM
(
    SELECT min(hour) AS first FROM pin_minutes HAVING count() > 0
    UNION ALL
    SELECT min(hour) AS first FROM experiment_cells HAVING count() > 0
)
"""


@dataclass(frozen=True, slots=True)
class SealResult:
    """What one call of `seal` did. Times in seconds since 1970."""

    sealed_until: int  # end of the last sealed hour; 0 when none is
    hours: tuple[int, ...] = ()  # hours sealed now, for the first time or again
    days: tuple[int, ...] = ()  # days sealed now
    corrected: tuple[int, ...] = ()  # those of `hours` whose counts differ from what was sealed before
    unsettled: tuple[int, ...] = ()  # hours whose minutes kept changing; the next call tries again


@dataclass(frozen=True, slots=True)
class State:
    """The state of sealed windows, in seconds since 1970."""

    until: int  # end of the last sealed hour
    hours: dict[int, int]  # sealed hour -> its seal
    open_hours: frozenset[int]  # were sealed or written to later; to be sealed again
    days: frozenset[int]  # sealed days


def seal(address: ClickHouseAddress, final_until: int, timeout_seconds: float = 300) -> SealResult:
    """Seal every hour that ended at or before `final_until`, and seal open hours again.

    `final_until` is in seconds since 1970; `sealed_until` only moves forward. Raises SinkUnavailable or SinkError; run
    it again then.

    At every step readers see the same counts, with one exception. A row that changes a final hour (a correction) may
    arrive after the roll-up of the hour was checked and before it is published. Readers of minutes see it at once.
    Readers of hours and days see it when the second check after the publication has opened the hour, or at the next
    call of `seal` if this process ends in between (see `rollup`, steps 4 to 6). A writer to a published hour opens it
    first, so all three views change at once.
    """
    until = final_until // HOUR * HOUR
    with sealing_connection(address, timeout_seconds) as connection:
        refuse_hidden_rows(connection)
        recheck(connection)
        state = read_state(connection)
        late = _with_their_days(state, state.open_hours)
        rolled_up = [roll_up(connection, Window("hour", hour)) for hour in late if hour < min(until, state.until)]
        rolled_up += _seal_new(connection, state, until)
        days = _seal_days(connection) + seal_as_before(connection)
        return _result(read_state(connection).until, rolled_up, days)


def read_state(connection: Connection) -> State:
    """Returns the state of the windows whose minutes are still kept."""
    rows = connection.rows(
        "SELECT toString(resolution), toUnixTimestamp(window_start), seal, is_open FROM sealed FINAL"
        " WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY"
    )
    hours = {start: number for resolution, start, number, is_open in rows if resolution == "hour" and not is_open}
    return State(
        until=max(hours, default=-HOUR) + HOUR,
        hours=hours,
        open_hours=frozenset(start for resolution, start, _, is_open in rows if resolution == "hour" and is_open),
        days=frozenset(start for resolution, start, _, is_open in rows if resolution == "day" and not is_open),
    )


def _with_their_days(state: State, hours: Iterable[int]) -> list[int]:
    """Returns these hours, and the hours of their days that were never sealed: a backlog may be older."""
    days = {hour // DAY * DAY for hour in hours}
    others = {hour for day in days for hour in range(day, day + DAY, HOUR)} - state.hours.keys()
    return sorted(others.union(hours))


def _seal_new(connection: Connection, state: State, until: int) -> list[RolledUp]:
    """Seal hours from `state.until` to `until` in order, up to the first whose minutes kept changing."""
    first = state.until or _first_day(connection)
    if first is None or first >= until:
        return []
    filled = _filled(connection, first, until) | state.open_hours
    rolled_up: list[RolledUp] = []
    for is_filled, run in groupby(range(first, until, HOUR), key=filled.__contains__):
        windows = [Window("hour", hour) for hour in run]
        rolled_up += _seal_each(connection, windows) if is_filled else _seal_empty(connection, windows)
        if not rolled_up[-1].seal:
            break
    return rolled_up


def _seal_each(connection: Connection, windows: Sequence[Window]) -> list[RolledUp]:
    rolled_up: list[RolledUp] = []
    for window in windows:
        rolled_up.append(roll_up(connection, window))
        if not rolled_up[-1].seal:
            break
    return rolled_up


def _filled(connection: Connection, first: int, until: int) -> set[int]:
    """Returns the hours of [first, until) that have cells."""
    return {row[0] for row in connection.rows(FILLED, first=first, until=until)}


def _seal_empty(connection: Connection, windows: Sequence[Window]) -> list[RolledUp]:
    """Seal consecutive hours without minutes in one insert, up to the first that has minutes now.

    The same steps as `roll_up`: number, check, publication, second check. No replica has more than this server, once it
    has waited for the minutes of others, so that none of them is asked.
    """
    first, end = windows[0].start, windows[-1].end
    number = allocate_seal_id(connection)
    sync(connection, "pin_minutes", "experiment_cells")
    bound = min(_filled(connection, first, end), default=end)
    empty = [window for window in windows if window.start < bound]
    publish(connection, empty, Row(number, False))
    sync(connection, "pin_minutes", "experiment_cells")
    late = _filled(connection, first, bound)
    reopen(connection, late)
    rolled_up = [RolledUp(window, 0 if window.start in late else number) for window in empty]
    return rolled_up if len(empty) == len(windows) else [*rolled_up, RolledUp(windows[len(empty)])]


def _first_day(connection: Connection) -> int | None:
    """Returns the start of the day of the first cell, so that the first day is complete."""
    rows, first = connection.one(FIRST)
    return int(first) // DAY * DAY if rows else None


def _seal_days(connection: Connection) -> tuple[int, ...]:
    """Seal each day that is not sealed and whose 24 hours are."""
    state = read_state(connection)
    sealed = []
    for day in sorted({hour // DAY * DAY for hour in state.hours} - state.days):
        seals = [state.hours[hour] for hour in range(day, day + DAY, HOUR) if hour in state.hours]
        if len(seals) == 24 and roll_up(connection, Window("day", day), seals).seal:
            sealed.append(day)
    return tuple(sealed)


def _result(until: int, rolled_up: Sequence[RolledUp], days: tuple[int, ...]) -> SealResult:
    return SealResult(
        sealed_until=until,
        hours=tuple(each.window.start for each in rolled_up if each.seal),
        days=days,
        corrected=tuple(each.window.start for each in rolled_up if each.changed),
        unsettled=tuple(each.window.start for each in rolled_up if not each.seal),
    )
