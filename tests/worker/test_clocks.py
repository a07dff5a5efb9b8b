"""A wrong clock is named once, now and then while it lasts, and when it is over; which one it is, as far as known."""

import asyncio
import logging
from uuid import UUID

import pytest

from pintally.schemas.sources import Source
from pintally.streams.worker import clocks
from pintally.streams.worker.clocks import AGAIN_SECONDS, ClockDifferences, Reading, broker_differences, difference
from tests.support.memory_sink import MemorySink

HOUR = 3_600_000
NOON = 1_750_000_000_000 // HOUR * HOUR
SAVE = Source("engagement.save.v1", UUID(int=1), 0)
AGREED = Reading(NOON, NOON, NOON)


def test_what_asking_took_is_no_difference() -> None:
    assert Reading(NOON, NOON + 40_000, NOON + 50_000).ahead_ms == 0
    assert Reading(NOON, NOON - 5_000, NOON + 50_000).ahead_ms == 5_000
    assert Reading(NOON, NOON + 90_000, NOON + 50_000).ahead_ms == -40_000


@pytest.mark.parametrize(("theirs", "words"), [(-3 * HOUR, "10,800 s ahead of"), (3 * HOUR, "10,800 s behind")])
def test_a_difference_is_told_with_both_times(theirs: int, words: str) -> None:
    said = difference(Reading(NOON, NOON + theirs, NOON))
    assert said
    assert words in said
    assert "2025-06-15 15:00:00 here" in said
    assert difference(Reading(NOON, NOON + theirs // 360, NOON)) is None


def test_a_broker_is_named_only_if_it_is_ahead_of_both_clocks_or_was_seen_to_be_behind() -> None:
    ours_is_behind = Reading(NOON - 3 * HOUR, NOON, NOON - 3 * HOUR)
    assert broker_differences(ours_is_behind, {SAVE: NOON}, {}) == {}
    assert "10,800 s ahead" in broker_differences(AGREED, {SAVE: NOON + 3 * HOUR}, {})[str(SAVE)]
    assert "7,200 s or more behind" in broker_differences(AGREED, {}, {SAVE: 2 * HOUR})[str(SAVE)]


def test_it_is_said_once_again_after_ten_minutes_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, now = [3 * HOUR], [0.0]
    sink = MemorySink()
    monkeypatch.setattr(sink, "clock", lambda: NOON)
    monkeypatch.setattr(clocks, "own_clock", lambda: NOON + ahead[0])
    differences = ClockDifferences(lambda: now[0])

    def said(seconds: float, off: int, brokers: dict[Source, int]) -> list[str]:
        caplog.clear()
        now[0] += seconds
        ahead[0] = off
        asyncio.run(differences.compare(sink))
        differences.tell(AGREED, brokers, {})
        return [" ".join(record.getMessage().removeprefix("clocks differ: ").split()[:3]) for record in caplog.records]

    with caplog.at_level(logging.INFO):
        assert said(0, 3 * HOUR, {}) == ["the clock of"]
        assert said(30, 3 * HOUR, {SAVE: NOON + HOUR}) == ["records of engagement.save.v1[0]"]
        assert said(30, 3 * HOUR, {SAVE: NOON + HOUR}) == []
        assert said(AGAIN_SECONDS, 3 * HOUR, {SAVE: NOON}) == ["the clock of", "clocks agree again:"]
        assert said(30, 0, {}) == ["clocks agree again:"]
        assert said(30, 0, {}) == []
