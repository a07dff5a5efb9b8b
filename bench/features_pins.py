"""Features and minutes of pins: how bench/features.py asks, what that may cost, and what the answers must equal.

Features are asked for as `pintally.features.get_online_features` does, and by the view, which has no target: it is for
SQL by hand.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.asking import Limits, Question, Reader
from bench.features_truth import compare, sums, windows
from bench.features_world import DAY, HOUR, World
from pintally.sinks.clickhouse.per_action import COLUMNS
from pintally.sinks.reads.online import feature_types, read_online

ONE, SOME, MINUTES = Limits(8, 12), Limits(45, 60), Limits(12, 20)
BATCH = 500
OF = "features of"
Answer = tuple[set[int], dict[int, dict[str, Any]]]
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
    batches = [pins[start : start + BATCH] for start in range(0, len(pins), BATCH)]
    since = world.now - DAY
    minutes = [LAST_DAY.format(pin=pin, since=since) for pin in pins[:runs]]
    one = f"{OF} one pin", [[pin] for pin in pins[:runs]], pins[:COMPARED]
    some = f"{OF} {BATCH} pins", batches, batches[0]
    return [
        *(added_up(reader, world, *asked, limits) for asked, limits in ((one, ONE), (some, SOME))),
        *(of_the_view(reader, world, *asked) for asked in (one, some)),
        Question(
            MINUTES_NAME, queries(reader, minutes), MINUTES, partial(check_minutes, reader, pins[:COMPARED], since)
        ),
    ]


def added_up(
    reader: Reader, world: World, name: str, pins: Sequence[Sequence[int]], compared: Sequence[int], limits: Limits
) -> Question:
    """As the Python reader asks."""
    types = feature_types()
    asked = [np.array(each, np.uint64) for each in pins]
    runs = [partial(read_online, reader.connection, each, types) for each in asked]
    return Question(name, runs, limits, partial(check, reader, world, compared, by_reader))


def of_the_view(
    reader: Reader, world: World, name: str, pins: Sequence[Sequence[int]], compared: Sequence[int]
) -> Question:
    """By SQL."""
    runs = queries(reader, [FEATURES.format(pins=", ".join(map(str, each))) for each in pins])
    return Question(f"{name}, by the view", runs, Limits(), partial(check, reader, world, compared, by_view))


def queries(reader: Reader, sql: Sequence[str]) -> Sequence[Callable[[], object]]:
    """A run of each."""
    return [partial(reader.connection.rows, each) for each in sql]


def check(reader: Reader, world: World, pins: Sequence[int], ask: Callable[[Reader, Sequence[int]], Answer]) -> int:
    """Compare the counts of all windows; returns how many."""
    truth = windows(reader.connection, world, pins, world.cut)
    as_of, answered = ask(reader, pins)
    for window, expected in truth.items():
        names = [f"{column}_{window}" for column in COLUMNS]
        found = {pin: tuple(row[name] for name in names) for pin, row in answered.items()}
        compare(f"features, {window}", found, expected)
    compare("features, as_of", as_of, {world.cut})
    return len(pins) * len(truth) * len(COLUMNS)


def by_view(reader: Reader, pins: Sequence[int]) -> Answer:
    """The cuts of an answer, and the features of each pin."""
    columns = ("pin_id", "as_of", *feature_types())
    rows = reader.connection.rows(
        f"SELECT {', '.join(columns)} FROM pin_features_latest WHERE pin_id IN %(pins)s", pins=list(pins)
    )
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    return {round(row["as_of"].timestamp()) for row in found.values()}, found


def by_reader(reader: Reader, pins: Sequence[int]) -> Answer:
    """The same by the Python reader."""
    distinct: NDArray[np.uint64] = np.unique(np.array(pins, np.uint64))
    cut, columns = read_online(reader.connection, distinct, feature_types())
    rows = {
        int(pin): {name: values[place].item() for name, values in columns.items()} for place, pin in enumerate(distinct)
    }
    return {cut.moment}, rows


def check_minutes(reader: Reader, pins: Sequence[int], since: int) -> int:
    """Compare the sums of the minutes; returns how many."""
    expected = sums(reader.connection, pins, since)
    for pin in expected:
        rows = reader.connection.rows(LAST_DAY.format(pin=pin, since=since))
        compare(MINUTES_NAME, tuple(map(sum, zip(*(row[2:] for row in rows), strict=True))), expected[pin])
    return len(expected) * len(COLUMNS)
