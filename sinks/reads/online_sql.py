"""The SQL of features at one cut: the rows of some pins, as `features_at_a_cut.sql` reads them.

All moments are literals, and nothing is a view: of one pin, ClickHouse would plan for longer than it reads. Which tiles
and corrections had arrived before the cut is told by their seals, so that no column of arrival is read. Counts that no
feature needs are not read either: each column costs a seek in each part.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.windows import DAY, HOUR

TILES, HOURS, CORRECTIONS, BASE = range(4)  # the tables, as `ROWS` numbers them
TABLES: Final = 4


_UNTIL: Final = "window_start < toDateTime(%(until)s, 'UTC')"
_IN_TILES: Final = (
    "window_start >= toDateTime(%(until)s, 'UTC') AND window_start < toDateTime(%(cut)s, 'UTC') + INTERVAL 1 DAY"
)
_IN_HOURS: Final = f"window_start >= toDateTime(%(hours_from)s, 'UTC') AND {_UNTIL}"
_IN_CORRECTIONS: Final = f"window_start >= toDateTime(%(base_day)s, 'UTC') - INTERVAL 30 DAY AND {_UNTIL}"


def _rows(number: int, start: str, counts: str, table: str, where: str) -> str:
    return (
        f"SELECT toUInt8({number}), pin_id, {start}, seal, {counts} FROM {table} WHERE pin_id IN %(pins)s AND {where}"
    )


_START: Final = "toUnixTimestamp(window_start)"
HEAD: Final = 4  # columns before the counts


@cache
def rows_of(counts: tuple[str, ...]) -> str:
    """Columns: table, pin, start of the window, seal, then these counts; of the base those of 7 days, then of 30."""
    once, twice = _counts(counts, "", "toUInt64(0)"), _counts(counts, "_7d", "{}_30d")
    return " UNION ALL ".join(
        (
            _rows(TILES, _START, once, "pin_tiles", _IN_TILES),
            _rows(HOURS, _START, once, "pin_hours_by_pin", _IN_HOURS),
            _rows(CORRECTIONS, _START, once, "pin_corrections", _IN_CORRECTIONS),
            _rows(BASE, "toUInt32(0)", twice, "pin_base", "day = toDateTime(%(base_day)s, 'UTC')"),
        )
    )


def _counts(counts: Sequence[str], days: str, month: str) -> str:
    return ", ".join([f"{name}{days}" for name in counts] + [month.format(name) for name in counts])


def moments(cut: Cut) -> dict[str, Any]:
    """What `rows_of` is told of a cut; names and values as in the view `cuts_read`."""
    base_day, last_24h = cut.hours_until // DAY * DAY, cut.moment // HOUR * HOUR - DAY
    return {
        "cut": cut.moment,
        "until": cut.hours_until,
        "base_day": base_day,
        "last_24h": last_24h,
        "hours_from": min(base_day, last_24h),
    }
