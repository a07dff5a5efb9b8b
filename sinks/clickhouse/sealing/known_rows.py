"""The SQL of what became known: tiles and corrections of a bucket, rows of an hour. Each with its check sum.

A check sum adds up, for each cell, a hash of what its row is of, times its counts. So it needs no grouping, and rows
that are sums of the same cells have the same.
"""

from pintally.sinks.clickhouse.per_action import COUNTS, OF_ACTION, OF_CELL, OF_CELLS, TOTAL, each, each_count

TOTALS = each("sumIf(events, action = {number})") + ", " + each("sumIf(trusted, action = {number})")
# Conditions on columns of the sort key, which all versions of a cell share, are looked at before FINAL merges, and the
# versions of a cell are in one partition. For the same reason the index of arrived_at may leave out what it can.
FAST = """optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1,
    use_skip_indexes_if_final = 1, use_skip_indexes_if_final_exact_mode = 0"""

BUCKET = "toDateTime(%(start)s, 'UTC')"
UNTIL = "toDateTime(%(hours_until)s, 'UTC')"  # of hours that were complete when the bucket began
ARRIVED = f"arrived_at = {BUCKET}"
IS_CORRECTION = f"hour < {UNTIL}"
OF_HOUR = "hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(start)s, 'UTC') + INTERVAL 1 HOUR"
BEFORE = f"{OF_HOUR} AND arrived_at < toDateTime(%(complete_at)s, 'UTC')"

TILES = f"""
INSERT INTO pin_tiles (pin_id, window_start, arrived_at, {COUNTS}, seal)
SELECT pin_id, toStartOfTenMinutes(minute) AS start, {BUCKET}, {OF_CELLS}, %(number)s
FROM pin_minutes FINAL WHERE {ARRIVED} AND NOT {IS_CORRECTION}
GROUP BY pin_id, start HAVING {TOTAL} > 0
SETTINGS {FAST}
"""
CORRECTIONS = f"""
INSERT INTO pin_corrections (pin_id, window_start, known_from, {COUNTS}, seal)
SELECT pin_id, hour AS start, {BUCKET} + INTERVAL 10 MINUTE, {OF_CELLS}, %(number)s
FROM pin_minutes FINAL WHERE {ARRIVED} AND {IS_CORRECTION}
GROUP BY pin_id, start HAVING {TOTAL} > 0
SETTINGS {FAST}
"""
HOURS = f"""
INSERT INTO pin_hours_by_pin (pin_id, window_start, {COUNTS}, seal)
SELECT pin_id, toDateTime(%(start)s, 'UTC'), {OF_CELLS}, %(number)s
FROM pin_minutes FINAL WHERE {BEFORE}
GROUP BY pin_id HAVING {TOTAL} > 0
SETTINGS {FAST}
"""


def _of_cells(*key: str) -> str:
    return f"sum(cityHash64({', '.join(('pin_id', *key, 'action'))}) * {OF_CELL})"


def _of_rows(*key: str) -> str:
    of = f"cityHash64({', '.join(('pin_id', *key, 'toUInt8({number})'))}) * {OF_ACTION}"
    return f"sum({each(of, ' + ')})"


# Which ten minutes an event is of matters in tiles alone: hours are added up over days, and so are their check sums.
BUCKET_CELLS = f"""
SELECT {TOTALS}, {_of_cells(f"toUInt32(if({IS_CORRECTION}, hour, toStartOfTenMinutes(minute)))")}
FROM pin_minutes FINAL WHERE {ARRIVED}
SETTINGS {FAST}
"""
HOUR_CELLS = f"SELECT {TOTALS}, {_of_cells()} FROM pin_minutes FINAL WHERE {BEFORE} SETTINGS {FAST}"
# Of each hour or ten minutes its sums, its rows, and the highest numbers of events, negative, for its tops.
OF_WINDOW = f"count(), groupArraySorted(%(length)s)(-toInt64({TOTAL}))"
_SUMS = each_count("sum({count})")
BUCKET_ROWS = f"""
SELECT toUnixTimestamp(window_start), {_SUMS}, {_of_rows("toUInt32(window_start)")}, {OF_WINDOW} FROM
(
    SELECT pin_id, window_start, {COUNTS} FROM pin_tiles
    WHERE {ARRIVED} AND seal = %(number)s AND window_start >= {UNTIL}
    UNION ALL
    SELECT pin_id, window_start, {COUNTS} FROM pin_corrections
    WHERE known_from = {BUCKET} + INTERVAL 10 MINUTE AND seal = %(number)s AND window_start < {UNTIL}
)
GROUP BY window_start
"""
HOUR_ROWS = f"""
SELECT toUnixTimestamp(window_start), {_SUMS}, {_of_rows()}, {OF_WINDOW} FROM pin_hours_by_pin
WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s
GROUP BY window_start
"""
FILLED_BUCKETS = """
SELECT DISTINCT toUnixTimestamp(arrived_at) FROM pin_minutes
WHERE arrived_at >= toDateTime(%(first)s, 'UTC') AND arrived_at < toDateTime(%(end)s, 'UTC')
"""
FILLED_HOURS = """
SELECT DISTINCT toUnixTimestamp(hour) FROM pin_minutes
WHERE hour >= toDateTime(%(first)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')
    AND arrived_at < toDateTime(%(complete_at)s, 'UTC')
"""
FIRST_BUCKET = "SELECT count(), toUnixTimestamp(min(arrived_at)) FROM pin_minutes"
