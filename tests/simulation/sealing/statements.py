"""What the statements of sealing do, on the tables of one simulated replica. An unknown statement is an error."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pintally.sinks.clickhouse.sealing import gone_minutes, recheck, rollup_rows, seal
from pintally.sinks.clickhouse.sealing.experiment_rows import HAS_ARMS
from pintally.sinks.clickhouse.sealing.reopen import NEWEST_CUT, SEALED_UNTIL, TODAY
from tests.simulation.sealing.tables import DAY, HOUR, Tables, by_pin, total

Rows = list[tuple[Any, ...]]
Reads = Callable[[Tables, Mapping[str, Any]], Rows]
Makes = Callable[[Tables, Mapping[str, Any]], tuple[str, Rows]]
UNCHECKED = (0, 0)  # sums of breakdowns and of arms, of which there are none


def _sums_of_cells(tables: Tables, asked: Mapping[str, Any]) -> Rows:
    cells = tables.cells(asked["start"], asked["end"])
    return [(len(cells), *total(cells.values()), *UNCHECKED)]


def _sums_of_rows(resolution: str) -> Reads:
    def sums(tables: Tables, asked: Mapping[str, Any]) -> Rows:
        rows = tables.rolled_up(resolution, asked["start"], [asked["number"]])
        return [(len(rows), *total(counts for _, counts in rows), *UNCHECKED)]

    return sums


def _sealed_row(tables: Tables, asked: Mapping[str, Any]) -> Rows:
    row = tables.sealed.get((asked["resolution"], asked["start"]))
    return [row] if row else []


def _sealed_sums(tables: Tables, asked: Mapping[str, Any]) -> Rows:
    rows = tables.sealed.items()
    return [(*window, *row[2:]) for window, row in rows if window[1] in asked["starts"]]


def _published_last(tables: Tables, _: Mapping[str, Any]) -> Rows:
    hours = ((start, row) for (resolution, start), row in tables.sealed.items() if resolution == "hour")
    return [(start, row[0], *row[3:]) for start, row in hours if not row[1]]


def _filled(tables: Tables, asked: Mapping[str, Any]) -> Rows:
    hours = {minute // HOUR * HOUR for minute, *_ in tables.pin_minutes}
    return [(hour,) for hour in hours if asked["first"] <= hour < asked["until"]]


def _first_hour(tables: Tables, _: Mapping[str, Any]) -> Rows:
    minutes = [minute for minute, *_ in tables.pin_minutes]
    return [(bool(minutes), min(minutes, default=0) // HOUR * HOUR)]


def _open_hours(tables: Tables, _: Mapping[str, Any]) -> Rows:
    hours = [start for (resolution, start), row in tables.sealed.items() if resolution == "hour" and row[1]]
    return [([hour for hour in hours if hour < tables.sealed_until],)]


def _hour_of_cells(tables: Tables, asked: Mapping[str, Any]) -> tuple[str, Rows]:
    start, number = asked["start"], asked["number"]
    cells = tables.cells(start, asked["end"])
    return "pin_hours", [(start, pin, counts, number) for pin, counts in cells.items()]


def _day_of_hours(tables: Tables, asked: Mapping[str, Any]) -> tuple[str, Rows]:
    start, number = asked["start"], asked["number"]
    hours = range(start, start + DAY, HOUR)
    rows = by_pin(row for hour in hours for row in tables.rolled_up("hour", hour, asked["seals"]))
    return "pin_days", [(start, pin, counts, number) for pin, counts in rows.items()]


SEALED = "SELECT toString(resolution), toUnixTimestamp(window_start)"
# By how a statement begins; the longest that fits.
READS: dict[str, Reads] = {
    "SELECT 1 FROM ingest_starts WHERE epoch > 0": lambda *_: [],
    f"SELECT ({rollup_rows.HAS_LABELS}) > 0, ({HAS_ARMS}) > 0": lambda *_: [(0, 0)],
    "SELECT max(seal) FROM seal_numbers": lambda t, _: [(max((row[0] for row in t.seal_numbers), default=0),)],
    "SELECT count() FROM seal_numbers": lambda t, asked: [(sum(row[0] == asked["n"] for row in t.seal_numbers),)],
    recheck.PUBLISHED_LAST: _published_last,
    f"{SEALED}, seal, is_open FROM sealed": lambda t, _: [(*window, *row[:2]) for window, row in t.sealed.items()],
    f"{SEALED}, corrected": _sealed_sums,
    "SELECT seal, is_open, corrected": _sealed_row,
    TODAY: lambda *_: [(0,)],  # all windows are young
    gone_minutes.OPEN: lambda *_: [],
    SEALED_UNTIL.format(""): lambda t, _: [(t.sealed_until,)],
    SEALED_UNTIL.format(NEWEST_CUT): lambda t, _: [(t.sealed_until, 0)],
    seal.FILLED: _filled,
    seal.FIRST: _first_hour,
    "SELECT arrayMap(h -> toUnixTimestamp(h), open_hours) FROM seal_state": _open_hours,
    rollup_rows.cells_sums("hour", True): _sums_of_cells,
    rollup_rows.cells_sums("day", True): _sums_of_cells,
    rollup_rows.rows_sums("hour"): _sums_of_rows("hour"),
    rollup_rows.rows_sums("day"): _sums_of_rows("day"),
}
MAKES: dict[str, Makes] = {rollup_rows.PLAIN_HOUR[0]: _hour_of_cells, rollup_rows.PLAIN_DAY[0]: _day_of_hours}


def plain(sql: str) -> str:
    """On one line."""
    return " ".join(sql.split())


_READS = {plain(sql): read for sql, read in READS.items()}
_MAKES = {plain(sql): make for sql, make in MAKES.items()}


def read(tables: Tables, sql: str, asked: Mapping[str, Any]) -> Rows:
    """The answer to a query."""
    begins = [known for known in _READS if plain(sql).startswith(known)]
    if not begins:
        raise AssertionError(f"what does this say? {plain(sql)}")
    return _READS[max(begins, key=len)](tables, asked)


def made(tables: Tables, sql: str, given: Any, columns: Sequence[str]) -> tuple[str, Rows]:
    """The table that an insert writes to, and its rows: given, or made of what the replica has."""
    if make := _MAKES.get(plain(sql)):
        return make(tables, given)
    table = plain(sql).split()[2]
    return table, _cells(dict(zip(columns, given[0].columns, strict=True))) if table == "pin_minutes" else list(given)


def _cells(of: Mapping[str, Any]) -> Rows:
    numbers = (of[name].tolist() for name in ("minute", "pin_id", "version", "events", "trusted"))
    return [(minute, pin, 0, *values) for minute, pin, *values in zip(*numbers, strict=True)]
