"""The SQL of features at one cut: the rows of some pins, as `features_at_a_cut.sql` reads them.

All moments are literals, and nothing is a view: of one pin, ClickHouse would plan for longer than it reads. Which tiles
and corrections had arrived before the cut is told by their seals, so that no column of arrival is read.
"""

from typing import Any, Final

from pintally.sinks.clickhouse.per_action import COLUMNS, each
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.windows import DAY, HOUR

TILES, HOURS, CORRECTIONS, BASE = range(4)  # the tables, as `ROWS` numbers them
TABLES: Final = 4


def _rows(number: int, start: str, counts: str, table: str, where: str) -> str:
    return (
        f"SELECT toUInt8({number}), pin_id, {start}, seal, {counts} FROM {table} WHERE pin_id IN %(pins)s AND {where}"
    )


_START: Final = "toUnixTimestamp(window_start)"
_COUNTS: Final = each("{column}") + ", " + each("toUInt64(0)")
# Columns: table, pin, start of the window, seal, counts; of the base the counts of 7 days, then those of 30 days.
ROWS: Final = " UNION ALL ".join(
    (
        _rows(
            TILES,
            _START,
            _COUNTS,
            "pin_tiles",
            "window_start >= toDateTime(%(until)s, 'UTC')"
            " AND window_start < toDateTime(%(cut)s, 'UTC') + INTERVAL 1 DAY",
        ),
        _rows(
            HOURS,
            _START,
            _COUNTS,
            "pin_hours_by_pin",
            "window_start >= toDateTime(%(hours_from)s, 'UTC') AND window_start < toDateTime(%(until)s, 'UTC')",
        ),
        _rows(
            CORRECTIONS,
            _START,
            _COUNTS,
            "pin_corrections",
            "window_start >= toDateTime(%(base_day)s, 'UTC') - INTERVAL 30 DAY"
            " AND window_start < toDateTime(%(until)s, 'UTC')",
        ),
        _rows(
            BASE,
            "toUInt32(0)",
            each("{column}_7d") + ", " + each("{column}_30d"),
            "pin_base",
            "day = toDateTime(%(base_day)s, 'UTC')",
        ),
    )
)
WIDTH: Final = 4 + 2 * len(COLUMNS)  # so many columns


def moments(cut: Cut) -> dict[str, Any]:
    """What `ROWS` is told of a cut; names and values as in the view `cuts_read`."""
    base_day, last_24h = cut.hours_until // DAY * DAY, cut.moment // HOUR * HOUR - DAY
    return {
        "cut": cut.moment,
        "until": cut.hours_until,
        "base_day": base_day,
        "last_24h": last_24h,
        "hours_from": min(base_day, last_24h),
    }
