"""Features and minutes of pins: how bench/features.py asks, what that may cost, and what the answers must equal."""

from collections.abc import Callable, Sequence
from functools import partial

from bench.asking import Limits, Question, Reader
from bench.features_truth import compare, sums, windows
from bench.features_world import DAY, HOUR, World
from pintally.sinks.clickhouse.per_action import COLUMNS

ONE, SOME, MINUTES = Limits(8, 12), Limits(45, 60), Limits(12, 20)
BATCH = 500
MINUTES_NAME = "one pin's last day by minutes"
COMPARED = 20  # times that a batch of pins is compared; of one pin, pins
FEATURES = "SELECT * FROM pin_features_latest WHERE pin_id IN ({pins})"
LAST_DAY = f"""
SELECT window_start, pin_id, {", ".join(COLUMNS)} FROM pin_engagement_1m
WHERE pin_id = {{pin}} AND window_start >= {{since}} ORDER BY window_start
"""
# By their share of the last hours' cells: a popular pin is asked for more often.
DRAWN = "SELECT pin_id FROM pin_minutes WHERE hour >= {since} AND arrived_at < {cut} ORDER BY rand() LIMIT {number}"


def features(reader: Reader, world: World, runs: int) -> list[Question]:
    """Of one pin, of 500 pins, and one pin's minutes."""
    found = reader.connection.rows(DRAWN.format(since=world.cut - 3 * HOUR, cut=world.cut, number=BATCH * runs))
    pins = [int(row[0]) for row in found]
    one = [FEATURES.format(pins=pin) for pin in pins[:runs]]
    batches = [pins[start : start + BATCH] for start in range(0, len(pins), BATCH)]
    some = [FEATURES.format(pins=", ".join(map(str, batch))) for batch in batches]
    since = world.now - DAY
    minutes = [LAST_DAY.format(pin=pin, since=since) for pin in pins[:runs]]

    def runs_of(queries: Sequence[str]) -> Sequence[Callable[[], object]]:
        return [partial(reader.connection.rows, query) for query in queries]

    return [
        Question("features of one pin", runs_of(one), ONE, partial(check, reader, world, pins[:COMPARED])),
        Question(f"features of {BATCH} pins", runs_of(some), SOME, partial(check, reader, world, batches[0])),
        Question(MINUTES_NAME, runs_of(minutes), MINUTES, partial(check_minutes, reader, pins[:COMPARED], since)),
    ]


def check(reader: Reader, world: World, pins: Sequence[int]) -> int:
    """Compare the counts of all windows; returns how many."""
    truth = windows(reader.connection, world, pins, world.cut)
    columns = ", ".join(f"{column}_{window}" for window in truth for column in COLUMNS)
    sql = f"SELECT pin_id, as_of, {columns} FROM pin_features_latest WHERE pin_id IN %(pins)s"
    answered = {pin: (as_of, counts) for pin, as_of, *counts in reader.connection.rows(sql, pins=list(pins))}
    width = len(COLUMNS)
    for place, (window, expected) in enumerate(truth.items()):
        found = {pin: tuple(counts[place * width : (place + 1) * width]) for pin, (_, counts) in answered.items()}
        compare(f"features, {window}", found, expected)
    compare("features, as_of", {as_of.timestamp() for as_of, _ in answered.values()}, {world.cut})
    return len(pins) * len(truth) * width


def check_minutes(reader: Reader, pins: Sequence[int], since: int) -> int:
    """Compare the sums of the minutes; returns how many."""
    expected = sums(reader.connection, pins, since)
    for pin in expected:
        rows = reader.connection.rows(LAST_DAY.format(pin=pin, since=since))
        compare(MINUTES_NAME, tuple(map(sum, zip(*(row[2:] for row in rows), strict=True))), expected[pin])
    return len(expected) * len(COLUMNS)
