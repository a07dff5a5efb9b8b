"""Answers that were given online, what is told later of the same moments, and what the log says."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.online import feature_types, read_online
from pintally.sinks.reads.pairs import Known, read_pairs
from tests.sinks.sealing import read
from tests.support.true_features import Event, Row, true_features

ANSWERS = 10_000
EPOCH = datetime.fromtimestamp(0, UTC)
# What SQL by hand would ask of the last 24 hours: what was written by then.
WRITTEN = """
SELECT pin_id, sumIf(events, action = 1), sumIf(events, action = 2), sumIf(events, action = 3)
FROM pin_minutes FINAL
WHERE updated_at <= toDateTime({moment}, 'UTC') AND minute >= toStartOfHour(toDateTime({cut}, 'UTC')) - INTERVAL 24 HOUR
GROUP BY pin_id
"""
Answer = tuple[datetime, int, int, Row]  # when, cut, pin, features


def online(address: ClickHouseAddress) -> list[Answer]:
    """All pins at the newest cut, with the moment at which it was asked, by ClickHouse's clock."""
    with Connection(address, 60) as connection:
        [moment] = connection.one("SELECT now64(3, 'UTC')")
        rows = connection.rows("SELECT * FROM pin_features_latest ORDER BY pin_id")
    return [(moment, round(row[-1].timestamp()), row[0], tuple(row[1:-1])) for row in rows]


def by_reader(address: ClickHouseAddress, pins: list[int]) -> tuple[int, list[Row]]:
    """The newest cut, and these pins at it, as the Python reader adds them up."""
    with Connection(address, 60, only_reads=True) as connection:
        cut, found = read_online(connection, np.array(pins, np.uint64), feature_types())
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    return cut.moment, [tuple(None if value != value else value for value in row) for row in rows]


def later(address: ClickHouseAddress, answers: list[Answer], known: Known = "arrived") -> list[Row]:
    """The same pins as of the same moments."""
    columns = read(address, "DESCRIBE pin_features_latest")
    types = {name: kind for name, kind, *_ in columns if name not in ("pin_id", "as_of")}
    pins = np.array([pin for _, _, pin, _ in answers], np.uint64)
    moments = np.array([(moment - EPOCH) // timedelta(microseconds=1) for moment, *_ in answers], np.int64)
    with Connection(address, 120, only_reads=True) as connection:
        _, found = read_pairs(connection, pins, moments, types, known)
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    return [tuple(None if value != value else value for value in row) for row in rows]


def recount(events: Iterable[Event], cuts: set[int]) -> dict[tuple[int, int], Row]:
    """The features of each cut and pin, from the log."""
    log = list(events)
    return {(cut, pin): row for cut in cuts for pin, row in true_features(log, cut).items()}


def by_updated_at(address: ClickHouseAddress, answers: list[Answer]) -> int:
    """How many answers have other counts of 24 hours than what had been written by then."""
    wrong = 0
    for moment, cut in {(moment, cut) for moment, cut, *_ in answers}:
        rows = read(address, WRITTEN.format(moment=int(moment.timestamp()), cut=cut))
        written: dict[int, tuple[Any, ...]] = {row[0]: tuple(row[1:]) for row in rows}
        wrong += sum(row[3:6] != written.get(pin, (0, 0, 0)) for at, _, pin, row in answers if at == moment)
    return wrong


def assert_parity(address: ClickHouseAddress, answers: list[Answer], events: Iterable[Event]) -> dict[str, float]:
    """Answers are as of their moments, and what the log says. Returns how many of them two other ways tell wrong."""
    assert len(answers) >= ANSWERS
    told = zip(answers, later(address, answers), strict=True)
    if differing := [(answer, row) for answer, row in told if answer[3] != row]:
        raise AssertionError(f"{len(differing)} answers are others as of their moments, for instance {differing[:2]}")
    counted = recount(events, {cut for _, cut, *_ in answers})
    if differing := [(each, counted[each[1:3]]) for each in answers if each[3] != counted[each[1:3]]]:
        raise AssertionError(f"{len(differing)} answers are not what the log says, for instance {differing[:2]}")
    hindsight = zip(later(address, answers, "event"), answers, strict=True)
    wrong = {
        "event time": sum(row != told for row, (*_, told) in hindsight),
        "updated_at": by_updated_at(address, answers),
    }
    shares = {name: number / len(answers) for name, number in wrong.items()}
    assert min(shares.values()) > 1 / 3, shares
    return shares
