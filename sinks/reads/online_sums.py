"""Sums of features out of the rows of some pins, as the view `pin_features` adds them up: in whole numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.online_sql import BASE, CORRECTIONS, HEAD, HOURS, TILES
from pintally.sinks.reads.seals import Numbers, Seals
from pintally.sinks.reads.sums import ONE, Sums
from pintally.sinks.reads.windows import DAY, HOUR

HALF_LIFE: Final = 6 * HOUR


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of `online_sql.rows_of` whose seal holds, column by column."""

    table: NDArray[np.uint8]
    pins: Numbers
    starts: NDArray[np.int64]
    counts: dict[str, Numbers]  # of the base those of 7 days
    months: dict[str, Numbers]  # of the base those of 30 days

    @classmethod
    def of(cls, columns: Sequence[Sequence[Any]], seals: Seals, names: Sequence[str]) -> "Rows":
        """Those of an answer with these counts, without rows of sealings that were not published, or were replaced."""
        table, seal = np.array(columns[0], np.uint8), np.array(columns[3], np.uint64)
        of_bucket = (table == TILES) | (table == CORRECTIONS)
        valid = np.where(of_bucket, np.isin(seal, seals.buckets), np.isin(seal, seals.others))
        pins, *counts = (np.array(columns[place], np.uint64)[valid] for place in (1, *range(HEAD, len(columns))))
        weeks, months = counts[: len(names)], counts[len(names) :]
        starts = np.array(columns[2], np.int64)[valid]
        return cls(
            table[valid], pins, starts, dict(zip(names, weeks, strict=True)), dict(zip(names, months, strict=True))
        )


def counts_in(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of counts that these sums are made of."""
    needed = {_parts(name)[0] for name in names}
    return tuple(count for count in COUNTED if count in needed)


def _parts(name: str) -> tuple[str, bool, str]:
    """The count of a sum, whether it decays, and its window: of `saves_decayed_6h` saves, true and 6h."""
    column, _, window = name.rpartition("_")
    return column.removesuffix("_decayed"), column.endswith("_decayed"), window


def add_up(rows: Rows, pins: Numbers, at: Mapping[str, int], names: Sequence[str]) -> Sums:
    """These sums of each of `pins`, which are in order and hold every pin of the rows. `at`: the moments of the cut."""
    windows = _windows(rows, at)
    weights = _weights(rows, at)
    places = np.searchsorted(pins, rows.pins)
    found = {}
    for name in names:
        count, is_decayed, window = _parts(name)
        counts = rows.counts[count]
        if is_decayed:
            counts = np.where(windows["24h"], counts * weights, 0)
        else:
            counts = np.where(rows.table == BASE, rows.months[count], counts) if window == "30d" else counts
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
