"""A log that is cut anywhere and moved counts as if it had never moved: with the same offsets, and with others."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import Replacement, SliceSum, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk, Offsets, TopicInfo
from pintally.streams.counting.recovery import base_of, follow, is_retired
from pintally.streams.counting.refusals import refuse_unknown
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.operations.change import copied, places
from pintally.streams.operations.change.copied import refuse_other_counts
from pintally.streams.operations.change.places import begin_at, offset_behind
from pintally.streams.operations.change.replace import (
    Begin,
    Pair,
    Plan,
    carry_out,
    find_pairs,
    plan_other_offsets,
    plan_same_offsets,
)
from pintally.streams.settings import KafkaSettings, Settings
from pintally.streams.worker.flush import read_back
from tests.support.logs import ACTION, SOURCE, Log, chunk, chunks, logs
from tests.support.logs import rules as some_rules
from tests.support.memory_sink import MemorySession, MemorySink
from tests.support.reference import recount

NEW = replace(SOURCE, topic_id=UUID(int=8))
KAFKA = Settings.of(None).kafka  # nobody asks it
TOPIC = TopicInfo(SOURCE.topic, NEW.topic_id, SOURCE.partition + 1, "CreateTime", 0, 0, "delete")


class Moving:
    """A worker's parts on one log and one sink, then on the log that takes its place."""

    def __init__(self, rules: Rules) -> None:
        self.sink = MemorySink()
        self.rules = rules

    def count(self, source: Source, log: Log, to: int, *, ahead: int = 0) -> SourceFold:
        """Recover, fold up to an offset, and flush; of a flush that was cut off, `ahead` offsets more, only the
        cells.
        """
        with self.sink.session() as session:
            ledger = session.read_ledgers([source])[source]
            if not ledger.starts:
                session.write_starts([StartRow(source, 0, 0, 0, self.rules.to_json())])
                ledger = session.read_ledgers([source])[source]
            chain = follow(ledger)
            fold = SourceFold(source, ACTION, chain.rules, chain.epoch_start.epoch, base_of(chain), chain.version)
            for end, is_whole in ((to, True), (min(to + ahead, log.end), False)):
                if fold.position < end:
                    fold.fold(chunk(log, fold.position, end))
                if capture := fold.capture():
                    session.write_cells(*capture.cells)
                    session.write_dead_letters(capture.dead_letters)
                    if is_whole:
                        session.write_ledger(capture.ledger)
                    fold.acknowledge(capture)
        return fold

    def pair(self) -> Pair:
        with self.sink.session() as session:
            ledgers = session.read_ledgers(list(self.sink.known_sources()))
        [pair] = find_pairs({TOPIC.name: TOPIC}, ledgers, self.sink.replaced())
        return pair

    def carry_out(self, plan: Plan) -> None:
        with self.sink.session() as session:
            carry_out(session, plan)

    @property
    def sums_of(self) -> Callable[[Source], Mapping[tuple[int, int], SliceSum]]:
        return self.sink.open_session().slice_sums

    def events(self) -> Counter[tuple[int, int]]:
        """What readers see: events by minute and pin."""
        found: Counter[tuple[int, int]] = Counter()
        for (_, _, _, _, minute, pin, *_), (_, count, _) in self.sink.cells.items():
            found[minute, pin] += count
        return +found

    def outcomes(self) -> Outcomes:
        """Of all records, wherever they were counted; offsets without one are of no log but their own."""
        return replace(sum_of([row.outcomes for row in self.sink.ledger.values()]), gaps=0)


def never_moved(log: Log, rules: Rules) -> tuple[Counter[tuple[int, int]], Outcomes]:
    expected = recount(log.records, 0, log.end, rules, ACTION)
    events = Counter({(0, 0): 0})
    for (_, _, minute, pin, *_), offsets in expected.counted.items():
        events[minute, pin] += len(offsets)
    return +events, replace(sum_of([Outcomes(**each.outcomes) for each in expected.slices]), gaps=0)


def other_offsets(log: Log, shift: int) -> Log:
    """What MirrorMaker makes of it: the same records, one behind the other."""
    records = tuple(replace(record, offset=shift + at) for at, record in enumerate(log.records))
    return Log(records, shift + len(records))


def as_copied(log: Log, start: int, offset: int) -> int:
    """The offset in a copy that begins at `start` of the first record at or after an offset of the log."""
    return start + sum(record.offset < offset for record in log.records)


@st.composite
def cut_logs(draw: st.DrawFn, wide: bool) -> tuple[Rules, Log, int]:
    rules = draw(some_rules())
    if wide:
        rules = replace(rules, slice_records=1_000)
    log = draw(logs(rules))
    return rules, log, draw(st.integers(0, log.end))


@given(cut_logs(wide=False), st.integers(0, 6))
def test_a_copy_with_the_same_offsets_counts_as_if_it_had_never_moved(
    drawn: tuple[Rules, Log, int], ahead: int
) -> None:
    """Wherever it is cut, with rows ahead of the ledger too; a worker on the old topic is found out."""
    rules, log, position = drawn
    moving = Moving(rules)
    old = moving.count(SOURCE, log, position, ahead=ahead)
    pair, ends = moving.pair(), Offsets(0, log.end, log.end)
    plan = plan_same_offsets(pair, dict.fromkeys(range(SOURCE.partition + 1), ends), 1, moving.sums_of, "same", "")
    moving.carry_out(plan)
    known = as_known({TOPIC.name: TOPIC}, moving.sink.replaced())[TOPIC.name]
    assert known.topic_id == SOURCE.topic_id
    with pytest.raises(Exception, match="counted by epoch 1"), moving.sink.session() as session:
        read_back(session, [old])
    moving.count(SOURCE, log, log.end)
    assert (moving.events(), moving.outcomes()) == never_moved(log, rules)
    with pytest.raises(Refusal, match="replaced it"):
        as_known({TOPIC.name: replace(TOPIC, topic_id=SOURCE.topic_id)}, moving.sink.replaced())


def reading(log: Log) -> Callable[[KafkaSettings, Source, int, int], AsyncGenerator[Chunk, None]]:
    """Stands for Kafka's answers."""

    async def read_chunks(_: KafkaSettings, source: Source, start: int, end: int) -> AsyncGenerator[Chunk, None]:
        assert source == NEW
        for each in chunks(log, sorted({start, (start + end) // 2, end})):
            yield each

    return read_chunks


@given(cut_logs(wide=True), st.integers(0, 3), st.integers(0, 6), st.booleans())
def test_a_copy_with_other_offsets_counts_as_if_it_had_never_moved(
    drawn: tuple[Rules, Log, int], shift: int, ahead: int, is_said: bool
) -> None:
    """Found by its records, or said by offset: what is sent again across the cut is a duplicate as ever."""
    rules, log, position = drawn
    moving, copy = Moving(rules), other_offsets(log, shift)
    moving.count(SOURCE, log, position, ahead=0 if is_said else ahead)
    pair, ends = moving.pair(), Offsets(shift, copy.end, copy.end)
    ledger = pair.ledgers[SOURCE.partition]
    read = reading(copy)
    with patch.object(places, "read_chunks", read), patch.object(copied, "read_chunks", read):
        start = as_copied(log, shift, follow(ledger).position)
        if not is_said:
            rows = follow(ledger).complete
            counted = sum(row.outcomes.total - row.outcomes.gaps for row in rows)
            start = asyncio.run(offset_behind(KAFKA, NEW, ends, counted))
            if counted:
                with moving.sink.session() as session:
                    old, new = (SOURCE, ledger), (NEW, shift, start)
                    asyncio.run(refuse_other_counts(KAFKA, session, old, new, ACTION))
        begin = asyncio.run(begin_at(KAFKA, NEW, ends, start, rules.slice_records))
    how = Replacement.NEW_RECORDS if is_said else Replacement.COPIED
    plan = plan_other_offsets(pair, how, {SOURCE.partition: begin}, 1, moving.sums_of, "other", "")
    moving.carry_out(plan)
    with moving.sink.session() as session:
        ledgers = session.read_ledgers([SOURCE, NEW])
        assert is_retired(ledgers[SOURCE])
        assert follow(ledgers[NEW]).start_stream_time >= follow(ledger).start_stream_time
        refuse_unknown(replace(NEW, partition=9), ledgers, {})
    moving.count(NEW, copy, copy.end)
    events, outcomes = never_moved(log, rules)
    assert moving.events() == events
    assert moving.outcomes() == outcomes


@given(cut_logs(wide=False))
def test_new_records_are_counted_and_stream_time_continues(drawn: tuple[Rules, Log, int]) -> None:
    """What is late for the old log is late for the new one; a partition that was added begins with the lowest clock."""
    rules, log, position = drawn
    moving = Moving(rules)
    stream_time = moving.count(SOURCE, log, position).stream_time
    before = moving.events()
    rest = Log(tuple(r for r in log.records if r.offset >= position), log.end)
    rest = other_offsets(rest, 0)
    begins = {SOURCE.partition: Begin(0, 0, 0, 0), SOURCE.partition + 1: Begin(0, 0, 0, 0)}
    how = Replacement.NEW_RECORDS
    moving.carry_out(plan_other_offsets(moving.pair(), how, begins, 1, moving.sums_of, "said", ""))
    starts = [start for start in moving.sink.starts if start.source.topic_id == NEW.topic_id]
    assert [start.start_stream_time for start in starts] == [stream_time] * 2
    moving.count(NEW, rest, rest.end)
    expected = recount(rest.records, 0, rest.end, rules, ACTION, stream_time)
    for (_, _, minute, pin, *_), offsets in expected.counted.items():
        before[minute, pin] += len(offsets)
    assert moving.events() == +before


def test_nothing_is_written_while_a_replica_is_away() -> None:
    """The row of the topic is written before the change here; the change needs every replica."""
    moving = Moving(Rules())
    moving.count(SOURCE, Log((), 0), 0)
    begins = {number: Begin(0, 0, 0, 0) for number in range(SOURCE.partition + 1)}
    plan = plan_other_offsets(moving.pair(), Replacement.NEW_RECORDS, begins, 1, moving.sums_of, "said", "")
    before = list(moving.sink.starts)
    away = patch.object(MemorySession, "refuse_absent", side_effect=SinkUnavailable("a replica is away"))
    with away, pytest.raises(SinkUnavailable):
        moving.carry_out(plan)
    assert (moving.sink.starts, [*moving.sink.replaced()], moving.sink.claims) == (before, [], set())
    moving.carry_out(plan)
    assert [*moving.sink.replaced()] == list(plan.rows)


@given(cut_logs(wide=False), st.integers(0, 3))
def test_ids_are_collected_from_the_block_before_with_the_stream_time_there(
    drawn: tuple[Rules, Log, int], shift: int
) -> None:
    rules, log, position = drawn
    copy, size = other_offsets(log, shift), rules.slice_records
    start = as_copied(log, shift, position)
    with patch.object(places, "read_chunks", reading(copy)):
        begin = asyncio.run(begin_at(KAFKA, NEW, Offsets(shift, copy.end, copy.end), start, size))
    assert begin.collect_start == max(shift, (start // size - 1) * size)
    for at, stream_time in ((begin.collect_start, begin.collect_stream_time), (start, begin.reached)):
        since = (start // size - 2) * size
        assert stream_time == max([0, *(r.timestamp for r in copy.records if since <= r.offset < at)])


@given(cut_logs(wide=True), st.data())
def test_a_copy_in_which_something_differs_is_refused_or_counts_the_same(
    drawn: tuple[Rules, Log, int], data: st.DataObject
) -> None:
    """A record lacks, or stands elsewhere: what the recorded slices counted must be there, or it is no copy."""
    rules, log, _ = drawn
    moving, copy = Moving(replace(rules, slice_records=5)), other_offsets(log, 0)
    moving.count(SOURCE, log, log.end)
    ledger = moving.pair().ledgers[SOURCE.partition]
    rows = follow(ledger).complete
    counted = sum(row.outcomes.total - row.outcomes.gaps for row in rows)
    if not counted:
        return
    at = data.draw(st.integers(0, counted - 1))
    left = [record for number, record in enumerate(copy.records) if number != at]
    spoilt = Log(tuple(replace(record, offset=number) for number, record in enumerate(left)), len(left))
    read = reading(spoilt)
    ends = Offsets(0, spoilt.end, spoilt.end)
    with patch.object(places, "read_chunks", read), patch.object(copied, "read_chunks", read):
        try:
            start = asyncio.run(offset_behind(KAFKA, NEW, ends, counted))
            with moving.sink.session() as session:
                asyncio.run(refuse_other_counts(KAFKA, session, (SOURCE, ledger), (NEW, 0, start), ACTION))
        except Refusal:
            return
    kept, found = copy.records[:counted], spoilt.records[:counted]
    assert summed(kept, rules) == summed(found, rules), "the counts are the same all the same"


def summed(records: Sequence[Any], rules: Rules) -> Mapping[tuple[int, int], int]:
    log = Log(tuple(records), len(records))
    return never_moved(log, rules)[0]


def test_a_topic_with_fewer_partitions_or_another_name_is_refused() -> None:
    moving = Moving(Rules())
    moving.count(SOURCE, Log((), 0), 0)
    pair = moving.pair()
    few = replace(pair, topic=replace(TOPIC, partitions=1))
    with pytest.raises(Refusal, match="has 1 partitions, 4 are counted"):
        plan_same_offsets(few, {}, 1, moving.sums_of, "", "")
    with pytest.raises(Refusal, match="has 1 partitions, 4 are counted"):
        plan_other_offsets(few, Replacement.COPIED, {0: Begin(0, 0, 0, 0)}, 1, moving.sums_of, "", "")
    named = replace(pair, topic=replace(TOPIC, name=f"mirror.{TOPIC.name}"))
    with pytest.raises(Refusal, match="another name than"):
        plan_same_offsets(named, {}, 1, moving.sums_of, "", "")
