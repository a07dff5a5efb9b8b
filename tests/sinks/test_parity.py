"""What was answered online at a moment is what anybody gets later who asks for that moment, and what the log says."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.pairs import Known, read_pairs
from pintally.streams.settings import Settings
from tests.sinks.parity_world import END, START, TICK, Night
from tests.sinks.sealing import read
from tests.support.true_features import Event, Row, true_features

HOUR = 3600
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


def test_online_at_a_moment_is_as_of_the_moment_later_and_the_log(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    address, answers = stack.clickhouse, list[Answer]()
    night = Night(address, np.random.default_rng(5), monkeypatch)
    for wall in range(START + TICK, END + HOUR, TICK):
        if night.tick(wall):
            answers += online(address)
    assert len(answers) >= ANSWERS
    assert night.deaths >= 2
    assert night.zombies_seen >= 2
    assert later(address, answers) == [row for *_, row in answers]
    counted = recount((event for source in night.sources for event in source.events()), {cut for _, cut, *_ in answers})
    assert [counted[cut, pin] for _, cut, pin, _ in answers] == [row for *_, row in answers]
    by_event_time = sum(row != told for row, (*_, told) in zip(later(address, answers, "event"), answers, strict=True))
    shares = {"event time": by_event_time / len(answers), "updated_at": by_updated_at(address, answers) / len(answers)}
    record_property("wrong", shares)
    assert min(shares.values()) > 1 / 3, shares
