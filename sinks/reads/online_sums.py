"""Sums of features out of the rows of some pins, as the view `pin_features` adds them up: in whole numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.per_action import COLUMNS
from pintally.sinks.reads.online_sql import BASE, CORRECTIONS, HOURS, TILES
from pintally.sinks.reads.seals import Numbers, Seals
from pintally.sinks.reads.sums import ONE, Sums
from pintally.sinks.reads.windows import DAY, HOUR

HALF_LIFE: Final = 6 * HOUR


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of `online_sql.ROWS` whose seal holds, column by column."""

    table: NDArray[np.uint8]
    pins: Numbers
    starts: NDArray[np.int64]
    counts: tuple[Numbers, ...]  # of each action; of the base those of 7 days
    months: tuple[Numbers, ...]  # of the base those of 30 days

    @classmethod
    def of(cls, columns: Sequence[Sequence[Any]], seals: Seals) -> "Rows":
        """Those of an answer, without rows of sealings that were never published, or that others replaced."""
        table, seal = np.array(columns[0], np.uint8), np.array(columns[3], np.uint64)
        of_bucket = (table == TILES) | (table == CORRECTIONS)
        valid = np.where(of_bucket, np.isin(seal, seals.buckets), np.isin(seal, seals.others))
        pins, *counts = (np.array(columns[place], np.uint64)[valid] for place in (1, *range(4, len(columns))))
        width = len(COLUMNS)
        starts = np.array(columns[2], np.int64)[valid]
        return cls(table[valid], pins, starts, tuple(counts[:width]), tuple(counts[width:]))


def add_up(rows: Rows, pins: Numbers, at: Mapping[str, int], names: Sequence[str]) -> Sums:
    """These sums of each of `pins`, which are in order and hold every pin of the rows. `at`: the moments of the cut."""
    windows = _windows(rows, at)
    weights = _weights(rows, at)
    places = np.searchsorted(pins, rows.pins)
    found = {}
    for name in names:
        column, _, window = name.rpartition("_")
        action = COLUMNS.index(column.removesuffix("_decayed"))
        counts = rows.counts[action]
        if column.endswith("_decayed"):
            counts = np.where(windows["24h"], counts * weights, 0)
        else:
            counts = np.where(rows.table == BASE, rows.months[action], counts) if window == "30d" else counts
            counts = np.where(windows[window], counts, 0)
        found[name] = np.zeros(len(pins), np.uint64)
        np.add.at(found[name], places, counts.astype(np.uint64))
    return found


def _windows(rows: Rows, at: Mapping[str, int]) -> dict[str, NDArray[np.bool_]]:
    """Of which windows each row is. What is older than the day of the last complete hour is in the base."""
    tiles, hours, corrections, base = (rows.table == number for number in (TILES, HOURS, CORRECTIONS, BASE))
    since_day = tiles | base | hours & (rows.starts >= at["base_day"])
    return {
        "1h": tiles & (rows.starts >= at["cut"] - HOUR),
        "24h": ~base & (rows.starts >= at["last_24h"]),
        "7d": since_day | corrections & (rows.starts >= at["base_day"] - 7 * DAY),
        "30d": since_day | corrections,
    }


def _weights(rows: Rows, at: Mapping[str, int]) -> Numbers:
    """What an event of each row counts in a decayed sum, times ONE."""
    to = np.where(rows.table == TILES, at["cut"], at["cut"] // HOUR * HOUR)
    return weights_of(rows.starts - to)


def weights_of(ages: NDArray[np.int64]) -> Numbers:
    """The weights of events of these ages, which are negative, in seconds: whole numbers, as ClickHouse rounds them."""
    weights: Numbers = np.rint(ONE * np.exp2(ages / HALF_LIFE)).astype(np.uint64)
    return weights
