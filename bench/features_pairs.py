"""Counts as they were known, for a million pairs of a pin and a moment: how bench/features.py asks, what that may cost.

Pins are drawn as those of events are, moments evenly over 43 hours. What is compared with the truth is a pin and a
moment of the same kind, at a few cuts.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.asking import Limits, Question, Reader
from bench.features_truth import WINDOWS, compare, windows
from bench.features_world import BUCKET, DRAWN, HOUR, World
from pintally.sinks.clickhouse.per_action import COLUMNS
from pintally.sinks.reads.pairs import read_pairs

LIMITS = Limits(12_000, 8_000)
SECONDS = 43 * HOUR
COMPARED_CUTS, COMPARED_PINS = 3, 100
COUNTS = {f"{column}_{window}": "UInt64" for window in WINDOWS for column in COLUMNS}
PAIRS = f"""
SELECT pin_id, at FROM
(
    SELECT {{cut}} - rand(9) % {{seconds}} AS at, {DRAWN.replace("{start}", "at")} FROM numbers({{number}})
)
"""


def pairs(reader: Reader, world: World, number: int, times: int) -> Question:
    """So many pairs in one call."""
    sql = PAIRS.format(cut=world.cut, seconds=SECONDS, number=number, pins=world.pins)
    pins, moments = (np.array(column) for column in zip(*reader.connection.rows(sql), strict=True))
    ask = partial(read_pairs, reader.connection, pins.astype(np.uint64), moments.astype(np.int64) * 1_000_000, COUNTS)
    name = f"{len(COUNTS)} counts of {number:,} pairs of pin and moment"
    return Question(name, [ask] * times, LIMITS, partial(check, reader, world, pins[:COMPARED_PINS]), 0)


def check(reader: Reader, world: World, pins: NDArray[np.uint64]) -> int:
    """Compare some pins at some cuts; returns how many counts."""
    pins = np.unique(pins)
    step = SECONDS // (COMPARED_CUTS + 1) // BUCKET * BUCKET
    for cut in range(world.cut - COMPARED_CUTS * step, world.cut, step):
        moments = np.full(len(pins), cut + BUCKET // 2, np.int64) * 1_000_000
        cuts, found = read_pairs(reader.connection, pins.astype(np.uint64), moments, COUNTS)
        compare("the cut of pairs", set(cuts.tolist()), {cut})
        truth = windows(reader.connection, world, pins.tolist(), cut)
        for window, expected in truth.items():
            counts = zip(*(found[f"{column}_{window}"].tolist() for column in COLUMNS), strict=True)
            compare(f"pairs, {window}", dict(zip(pins.tolist(), counts, strict=True)), expected)
    return COMPARED_CUTS * len(pins) * len(COUNTS)
