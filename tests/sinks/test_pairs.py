"""Pairs of a pin and a moment: each the row that pin_features shows as of the moment, bit for bit."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.pairs import Known, read_pairs
from tests.sinks.feature_world import END, PINS, FeatureWorld
from tests.sinks.sealed_cuts import published
from tests.sinks.sealing import read
from tests.support.true_features import DAY, HOUR, TEN, Event, hours_until, true_features

NOTHING = (*(0,) * 24, *(None,) * 4, *(0.0,) * 4)  # of a pin without events in 30 days; trend_1h is 0 / sqrt(1)


@pytest.fixture(scope="module")
def events(feature_world: FeatureWorld) -> list[Event]:
    return feature_world.events


@pytest.fixture(scope="module")
def address(feature_world: FeatureWorld) -> ClickHouseAddress:
    return feature_world.address


@pytest.fixture(scope="module")
def types(address: ClickHouseAddress) -> dict[str, str]:
    columns = read(address, "DESCRIBE pin_features_latest")
    return {name: kind for name, kind, *_ in columns if name not in ("pin_id", "as_of")}


def asked(
    address: ClickHouseAddress, pairs: list[tuple[int, float]], types: dict[str, str], known: Known = "arrived"
) -> list[tuple[int, tuple[Any, ...]]]:
    """The cut and the features of each pair; None is NULL."""
    pins = np.array([pin for pin, _ in pairs], np.uint64)
    moments = np.array([round(moment * 1_000_000) for _, moment in pairs], np.int64)
    with Connection(address, 60, only_reads=True) as connection:
        cuts, found = read_pairs(connection, pins, moments, types, known)
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    plain = [tuple(None if value != value else value for value in row) for row in rows]
    return list(zip(cuts.tolist(), plain, strict=True))


def moments(chance: random.Random, number: int) -> list[tuple[int, float]]:
    """Pins, one of which has no event, and moments of which most are near arrivals; some before the first cut."""
    starts = (END - 9 * DAY, END - 2 * DAY - 2 * HOUR, END - DAY - HOUR, END - 3 * HOUR, END - HOUR)
    return [
        (chance.randrange(1, PINS + 2), chance.choice(starts) + chance.uniform(-TEN, 2 * HOUR)) for _ in range(number)
    ]


def test_each_pair_is_the_row_of_pin_features_as_of_its_moment(
    address: ClickHouseAddress, events: list[Event], types: dict[str, str]
) -> None:
    pairs = moments(random.Random(1), 3000)
    cuts = published(address)
    for (pin, moment), (cut, row) in zip(pairs, asked(address, pairs, types), strict=True):
        assert cut == max((c for c in cuts if c + 1 <= moment), default=0)
        assert row == true_features([e for e in events if e.pin == pin], cut).get(pin, NOTHING) if cut else NOTHING
    for pin, moment in pairs[:20]:
        at = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        shown = read(address, f"SELECT * FROM pin_features(as_of = '{at}') WHERE pin_id = {pin}")
        [(_, row)] = asked(address, [(pin, moment)], types)
        assert row == (tuple(shown[0][1:-1]) if shown else NOTHING)


def in_hindsight(events: list[Event], cut: int, newest: int) -> list[Event]:
    """What happened before a cut, as if it had arrived then. A correction is of its hour, and has no minute."""
    found = []
    for event in events:
        hour = event.minute // HOUR * HOUR
        is_correction = hour < hours_until(event.arrived_at)
        start, end = (hour, hour + HOUR) if is_correction else (event.minute, event.minute // TEN * TEN + 1)
        if event.arrived_at < newest and end <= cut:
            found.append(replace(event, arrived_at=0, minute=start))
    return found


def test_hindsight_counts_what_happened_before_the_cut_whenever_it_arrived(
    address: ClickHouseAddress, events: list[Event], types: dict[str, str]
) -> None:
    pairs = moments(random.Random(2), 1000)
    newest, differ = published(address)[-1], 0
    by_time = asked(address, pairs, types, "event")
    for (pin, _), (cut, row), (_, known) in zip(pairs, by_time, asked(address, pairs, types), strict=True):
        own = in_hindsight([event for event in events if event.pin == pin], cut, newest)
        assert row == true_features(own, cut).get(pin, NOTHING)
        differ += row != known
    assert differ > 100


def test_no_pairs_are_an_empty_answer(address: ClickHouseAddress, types: dict[str, str]) -> None:
    assert asked(address, [], types) == []
