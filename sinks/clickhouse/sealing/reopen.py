"""Opens sealed hours: readers take them from minutes until they are sealed again. Writers below `sealed_until` do this.

So the backlog of a topic or partition that was added later counts in sealed hours, and corrects them (C24).

The row of a window with the highest seal number holds. A number that is allocated here is above the number of every
sealing that read the minutes before, so none of them can close the window again.

Windows whose minutes are deleted with age stay as they are: they could not be read from minutes, nor sealed again, and
a day is kept for much longer. A day stays sealed a day earlier, as sealing may not come to it before midnight.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.replicas import active_quorum
from pintally.sinks.clickhouse.sealing.rollup_rows import NOTHING, SUMMED
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id

HOUR = 3600
DAY = 86_400
SEALED = ("resolution", "window_start", "seal", "is_open", "corrected", *SUMMED)  # columns of the table
NEVER_SEALED = (False, *NOTHING)  # its `corrected` and sums
HOURS_SINCE, DAYS_SINCE = 89, 88  # days before today: of hours, and of days, that may be opened
TODAY = "SELECT toUnixTimestamp(toStartOfDay(now('UTC')))"

# The first column of seal_state by itself, as every flush asks for it twice: 3 ms of ClickHouse's CPU, not 6.5.
SEALED_UNTIL = """
SELECT toUnixTimestamp(maxIf(window_start + INTERVAL 1 HOUR, resolution = 'hour' AND NOT is_open)){} FROM sealed FINAL
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY
"""
NEWEST_CUT = ", (SELECT toUnixTimestamp(max(cut)) FROM cuts)"


def sealed_until(connection: Connection) -> int:
    """End of the last sealed hour in seconds since 1970; 0 when none is sealed."""
    return int(connection.one(SEALED_UNTIL.format(""))[0])


def sealed_and_cut(connection: Connection) -> tuple[int, int]:
    """`sealed_until`, and the newest cut, 0 if there is none. It costs a millisecond of CPU more."""
    until, cut = connection.one(SEALED_UNTIL.format(NEWEST_CUT))
    return int(until), int(cut or 0)


def early_hours(tables: Iterable[CellRows], until: int) -> list[int]:
    """Returns the hours (start in seconds since 1970) before `until` that cells of any aggregate write to."""
    hours: set[int] = set()
    for rows in tables:
        starts = getattr(rows, rows.window)
        if len(rows) and int(starts.min()) < until:  # else the ordinary case: one pass over one column
            hours.update((np.unique(starts[starts < until] // HOUR) * HOUR).tolist())
    return sorted(hours)


def open_hours(connection: Connection) -> set[int]:
    """Returns the open hours before `sealed_until`."""
    return set(connection.one("SELECT arrayMap(h -> toUnixTimestamp(h), open_hours) FROM seal_state")[0])


def reopen(connection: Connection, hours: Collection[int]) -> None:
    """Open these hours and their days, in one insert: all or none. Every replica that is not away has it then."""
    windows = _kept(int(connection.one(TODAY)[0]), hours) if hours else []
    if not windows:
        return
    number = allocate_seal_id(connection)
    sync(connection, "sealed")
    known = _sums(connection, windows)
    connection.insert(
        "sealed",
        SEALED,
        [
            (resolution, start, number, True, *known.get((resolution, start), NEVER_SEALED))
            for resolution, start in windows
        ],
        **active_quorum(connection),
    )


def _kept(today: int, hours: Collection[int]) -> list[tuple[str, int]]:
    """The windows of these hours that may be opened, by name and start."""
    days = {hour // DAY * DAY for hour in hours}
    return [
        *(("hour", hour) for hour in sorted(hours) if hour >= today - HOURS_SINCE * DAY),
        *(("day", day) for day in sorted(days) if day >= today - DAYS_SINCE * DAY),
    ]


def _sums(connection: Connection, windows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, ...]]:
    """Returns the last sealed sums, so that the next sealing knows whether it corrects them."""
    rows = connection.rows(
        f"SELECT toString(resolution), toUnixTimestamp(window_start), corrected, {', '.join(SUMMED)}"
        " FROM sealed FINAL WHERE window_start IN %(starts)s",
        starts=[start for _, start in windows],
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}
