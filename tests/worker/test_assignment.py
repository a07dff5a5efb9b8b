"""What a worker looks up when it is assigned a source, while others still count it."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from pintally.schemas.errors import KafkaUnavailable, SinkUnavailable
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.settings import KafkaSettings, Settings
from pintally.streams.worker import assignment, table
from pintally.streams.worker.assignment import Assigned
from pintally.streams.worker.flush import SinkRolledBack, write
from pintally.streams.worker.outage import Outage
from pintally.streams.worker.table import CellTable, Refold
from tests.support.logs import ACTION, T0, Log, chunk, record
from tests.support.logs import SOURCE as LOGGED
from tests.support.memory_sink import MemorySession, MemorySink

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
TOPIC = TopicInfo(SOURCE.topic, SOURCE.topic_id, 1, "LogAppendTime", 2**63 - 1, 2**63 - 1, "delete")


def test_a_log_that_another_worker_counts_meanwhile_is_not_taken_for_a_truncated_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The former owner finishes its last flush, and producers go on, while the new one looks up where to begin."""
    sink, ends = MemorySink(), iter(range(10, 1000, 10))
    rules = Rules()

    def others_go_on() -> int:
        end = next(ends)
        row = LedgerRow(SOURCE, 0, 600, 0, 0, end, 600_000, Outcomes(end), end, 0, rules.fingerprint)
        with sink.session() as session:
            session.write_ledger([row])
        return end

    def read_offsets(_: Settings, sources: list[Source]) -> dict[Source, Offsets]:
        end = others_go_on()
        return {source: Offsets(0, end, end) for source in sources}

    class BusySink(MemorySink):
        def open_session(self) -> MemorySession:
            others_go_on()
            return sink.open_session()

    with sink.session() as session:
        session.write_starts([StartRow(SOURCE, 0, 0, 0, rules.to_json())])
    monkeypatch.setattr(assignment, "describe_topics", lambda *_: {SOURCE.topic: TOPIC})
    monkeypatch.setattr(assignment, "read_offsets", read_offsets)
    (assigned,) = assignment.look_up(*Settings.of(None).sources, BusySink(), [(SOURCE.topic, 0)])
    assert assigned.chain.start == 0


def test_a_source_that_another_worker_has_begun_meanwhile_is_not_taken_for_one_whose_ledger_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between this worker's look at the ledger and the one at the group's offsets the other counted and committed."""
    sink, rules = MemorySink(), Rules()

    def committed_offsets(_: KafkaSettings) -> dict[tuple[str, int], int]:
        with sink.session() as session:
            session.write_starts([StartRow(SOURCE, 0, 3, 0, rules.to_json())])
        return {(SOURCE.topic, 0): 5}

    monkeypatch.setattr(assignment, "describe_topics", lambda *_: {SOURCE.topic: TOPIC})
    monkeypatch.setattr(assignment, "committed_offsets", committed_offsets)
    monkeypatch.setattr(assignment, "read_offsets", lambda _, sources: {source: Offsets(3, 9, 9) for source in sources})
    (assigned,) = assignment.look_up(*Settings.of(None).sources, sink, [(SOURCE.topic, 0)])
    assert assigned.chain.start == 3
    assert len(sink.starts) == 1


def test_a_source_that_was_claimed_for_other_rules_begins_in_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """C12: a worker with other settings was killed before its start row arrived."""
    sink, rules = MemorySink(), Rules()
    late = StartRow(SOURCE, 0, 0, 0, Rules(allowed_lateness_ms=1).to_json())
    with sink.session() as session:
        session.write_claims([late])
    monkeypatch.setattr(assignment, "describe_topics", lambda *_: {SOURCE.topic: TOPIC})
    monkeypatch.setattr(assignment, "committed_offsets", lambda _: {})
    monkeypatch.setattr(assignment, "read_offsets", lambda _, sources: {source: Offsets(0, 9, 9) for source in sources})
    look_up = partial(assignment.look_up, *Settings.of(None).sources, sink, [(SOURCE.topic, 0)])
    with pytest.raises(SinkUnavailable, match="somebody else began epoch 0"):
        look_up()
    assert sink.starts == []
    assert look_up()[0].chain.epoch_start == StartRow(SOURCE, 1, 0, 0, rules.to_json())
    with sink.session() as session:
        session.write_starts([late])
    assert look_up()[0].chain.rules == rules


def test_a_ledger_that_goes_back_before_the_first_flush_of_a_new_worker_is_noticed() -> None:
    """C6: what was flushed is what the worker read when it began, too; else the slices lost stay lost."""
    log = Log(tuple(record(offset, T0) for offset in range(8)), 8)
    sink, rules = MemorySink(), Rules()
    row = LedgerRow(LOGGED, 0, T0 // 1000, 0, 0, 5, T0, Outcomes(5), 5, 0, rules.fingerprint)
    chain = follow(SourceLedger((StartRow(LOGGED, 0, 0, 0, rules.to_json()),), (row,)))
    table = CellTable.__new__(CellTable)
    table.app, table.action, table.folds = SimpleNamespace(settings=Settings.of(None)), ACTION, {}
    table.assign(Assigned(LOGGED, chain, base_of(chain), 0))
    fold = table.folds[LOGGED.partition]
    fold.fold(chunk(log, 0, 8))
    captured = fold.capture()
    assert captured
    sink.starts.append(StartRow(LOGGED, 0, 0, 0, rules.to_json()))
    with pytest.raises(SinkRolledBack, match="is at version None, 5 was flushed"):
        write(sink, [fold], [captured])


def test_a_worker_that_waits_for_its_ledger_says_at_each_try_that_it_stays_in_its_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    answers = iter([SinkUnavailable("away", ""), KafkaUnavailable("away", ""), SinkUnavailable("away", "")])

    def look_up(*_: object) -> str:
        for error in answers:
            said.append("asked")
            raise error
        return "found"

    monkeypatch.setattr(table, "look_up", look_up)
    monkeypatch.setattr(table, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(table, "outage_of", lambda _: Outage("it"))
    refold: Any = Refold.__new__(Refold)
    consumer = SimpleNamespace(stay=lambda: said.append("stays"))
    refold.app = SimpleNamespace(settings=SimpleNamespace(sources=(1, 2, 3)), sink=None, consumer=consumer)
    assert asyncio.run(refold._look_up([])) == "found"
    assert said == ["asked", "stays"] * 3
