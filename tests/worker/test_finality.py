"""C21 and C22: when a minute is final."""

from functools import partial
from uuid import UUID

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.worker.finality import final_until

HOUR = 3_600_000
NOON = 1_750_000_000_000 // HOUR * HOUR
RULES, MARGIN_MS = Rules(), 300_000
TOPIC_ID = UUID(int=1)
SAVE = Source(Action.SAVE.topic(), TOPIC_ID, 0)
CLICK = Source(Action.CLICK.topic(), TOPIC_ID, 0)


def topic(source: Source, stamps: str = "LogAppendTime", before: int = 2**62) -> TopicInfo:
    return TopicInfo(source.topic, TOPIC_ID, 1, stamps, 300_000, before, "delete")


def ledger(source: Source, position: int, stream_time: int) -> SourceLedger:
    rules = Rules()
    start = StartRow(source, 0, 0, 0, rules.to_json())
    row = LedgerRow(source, 0, 0, 0, 0, position, stream_time, Outcomes(position), position, 0, rules.fingerprint)
    return SourceLedger((start,), (row,) if position else ())


def until(*sources: tuple[Source, TopicInfo, SourceLedger | None, Offsets], now: int = NOON) -> int | None:
    topics = {info.name: info for _, info, _, _ in sources}
    ledgers = {source: known for source, _, known, _ in sources if known}
    return final_until(RULES, MARGIN_MS, topics, ledgers, {s: offsets for s, _, _, offsets in sources}, now)


def test_the_lowest_flushed_stream_time_decides() -> None:
    busy = Offsets(0, 100, 100)
    assert (
        until(
            (SAVE, topic(SAVE), ledger(SAVE, 10, NOON), busy),
            (CLICK, topic(CLICK), ledger(CLICK, 10, NOON - 90_000), busy),
        )
        == (NOON - HOUR - 120_000) // 1000
    )


def test_a_caught_up_idle_source_counts_with_the_look_less_the_margin() -> None:
    idle = Offsets(0, 10, 10)
    assert until((SAVE, topic(SAVE), ledger(SAVE, 10, NOON - 9 * HOUR), idle)) == (NOON - HOUR - 300_000) // 1000


@pytest.mark.parametrize("offsets", [Offsets(0, 11, 11), Offsets(0, 11, 10), Offsets(0, 10, 9)])
def test_a_source_that_is_not_at_the_very_end_counts_with_its_own_stream_time(offsets: Offsets) -> None:
    assert until((SAVE, topic(SAVE), ledger(SAVE, 10, NOON - 2 * HOUR), offsets)) == (NOON - 3 * HOUR) // 1000


def test_producers_timestamps_hold_back_unless_they_are_bounded() -> None:
    idle, known = Offsets(0, 10, 10), ledger(SAVE, 10, NOON - 5 * HOUR)
    assert until((SAVE, topic(SAVE, "CreateTime"), known, idle)) == (NOON - 6 * HOUR) // 1000
    assert until((SAVE, topic(SAVE, "CreateTime", 300_000), known, idle)) == (NOON - HOUR - 300_000) // 1000


def test_nothing_is_final_beyond_the_time_of_the_look_whatever_the_sources_say() -> None:
    """A broker's clock is three hours ahead."""
    ahead = ledger(SAVE, 10, NOON + 3 * HOUR)
    assert until((SAVE, topic(SAVE), ahead, Offsets(0, 11, 11))) == (NOON - HOUR) // 1000
    assert until((SAVE, topic(SAVE), ahead, Offsets(0, 10, 10))) == (NOON - HOUR) // 1000


def test_a_source_whose_broker_is_behind_counts_with_its_own_stream_time_also_when_idle() -> None:
    known = ledger(SAVE, 10, NOON - 3 * HOUR)
    topics = {SAVE.topic: topic(SAVE)}
    look = partial(final_until, RULES, MARGIN_MS, topics, {SAVE: known}, {SAVE: Offsets(0, 10, 10)}, NOON)
    assert look(lambda *_: True) == (NOON - 4 * HOUR) // 1000
    assert look(lambda *_: False) == (NOON - HOUR - 300_000) // 1000


def test_an_empty_unbounded_source_holds_all_back() -> None:
    assert until((SAVE, topic(SAVE, "CreateTime"), None, Offsets(0, 0, 0))) is None


def test_a_source_nobody_has_read_holds_all_back_unless_it_is_empty() -> None:
    read = (CLICK, topic(CLICK), ledger(CLICK, 10, NOON), Offsets(0, 10, 10))
    assert until((SAVE, topic(SAVE), None, Offsets(0, 5, 5)), read) is None
    assert until((SAVE, topic(SAVE), None, Offsets(5, 5, 5)), read) == (NOON - HOUR - 300_000) // 1000
