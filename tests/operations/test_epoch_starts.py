"""Setting epoch starts: a crash between any two steps, and a second run, end as one run would have."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import DeadLetterRow, LedgerRow, SourceLedger, StartRow, version_of
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.lost import change_of, plan_lost
from pintally.streams.operations.change.rules import plan_rules
from tests.support.cells import cells
from tests.support.memory_sink import MemorySession, MemorySink

ONE, OTHER, NEW = (Source(f"engagement.{name}.v1", UUID(int=7), 0) for name in ("save", "click", "closeup"))
RULES = Rules(slice_records=100)
LATER = Rules(slice_records=50, allowed_lateness_ms=1)
T = 1_700_000_000_000 // ARRIVAL_BUCKET_MS * ARRIVAL_BUCKET_MS
STEPS = 12  # more than there are


class Crash(Exception):
    """The process is gone."""


class Crashing(MemorySession):
    """Goes on for some steps that change something."""

    def __init__(self, sink: MemorySink, steps: int) -> None:
        super().__init__(sink)
        self.steps = steps

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("write_", "delete_", "reopen_", "forget")):
            if self.steps == 0:
                raise Crash
            self.steps -= 1
        return super().__getattribute__(name)


def counted() -> MemorySink:
    """Two sources with a complete and an unfinished slice each, and what a late worker inserted."""
    sink = MemorySink()
    with sink.session() as session:
        for source in (ONE, OTHER):
            session.write_starts([StartRow(source, 0, 0, T, RULES.to_json())])
            for slice_block, position in ((0, 100), (1, 150)):
                row = row_of(source, slice_block, position)
                session.write_ledger([row])
                session.write_cells(
                    cells(
                        (
                            source.id,
                            slice_block,
                            T // 1000,
                            1,
                            T // 1000,
                            7,
                            row.outcomes.total,
                            version_of(0, position),
                        )
                    )
                )
                session.write_dead_letters([letter(source, position - 1)])
    return sink


def row_of(source: Source, slice_block: int, position: int) -> LedgerRow:
    outcomes = Outcomes(position - slice_block * 100)
    return LedgerRow(
        source,
        slice_block,
        T // 1000,
        slice_block * 100,
        T,
        position,
        T,
        outcomes,
        outcomes.counted,
        0,
        RULES.fingerprint,
    )


def letter(source: Source, offset: int, epoch: int = 0) -> DeadLetterRow:
    return DeadLetterRow(source, offset, T, "late", "so", None, None, (), epoch)


Plan = Callable[[MaintenanceSession], Change]


def ledgers(session: MaintenanceSession) -> dict[Source, SourceLedger]:
    return dict(session.read_ledgers([ONE, OTHER, NEW]))


def rules(session: MaintenanceSession) -> Change:
    offsets = dict.fromkeys((ONE, OTHER, NEW), Offsets(0, 150, 150))
    return plan_rules(lambda _: LATER, ledgers(session), offsets, {}, session.slice_sums)


def trimmed(session: MaintenanceSession) -> Change:
    return lost(session, Offsets(140, 200, 200))


def truncated(session: MaintenanceSession) -> Change:
    return lost(session, Offsets(0, 120, 120))


def lost(session: MaintenanceSession, ends: Offsets) -> Change:
    offsets = {ONE: ends, OTHER: Offsets(0, 150, 150)}
    return change_of(plan_lost(lambda _: RULES, ledgers(session), offsets, {}, session.slice_sums, T // 1000))


def state(sink: MemorySink) -> tuple[Any, ...]:
    return set(sink.starts), sink.cells, sink.ledger, sink.dead_letters, set(sink.lost)


@pytest.mark.parametrize("plan", [rules, trimmed, truncated])
def test_a_crash_anywhere_and_a_second_run_end_as_one_run_does(plan: Plan) -> None:
    whole = counted()
    with whole.session() as session:
        apply_change(session, plan(session))
    for steps in range(STEPS):
        sink = counted()
        session = Crashing(sink, steps)
        try:
            apply_change(session, plan(session))
            over = True
        except Crash:
            over = False
        with sink.session() as again:
            apply_change(again, plan(again))
        assert state(sink) == state(whole), f"after {steps} steps"
    assert over, "some run had no crash"


def test_after_a_crash_anywhere_a_late_ledger_insert_vouches_for_no_dead_letter_that_is_gone() -> None:
    for steps in range(STEPS):
        sink = counted()
        session = Crashing(sink, steps)
        with suppress(Crash):
            apply_change(session, rules(session))
        with sink.session() as late:  # of a worker whose session is over
            late.write_ledger([row_of(ONE, 1, 200), row_of(ONE, 2, 210)])
            chain = follow(late.read_ledgers([ONE])[ONE])
        vouched = {(ONE, offset) for offset in (99, 149) if offset < chain.start}
        assert vouched <= sink.dead_letters.keys(), f"after {steps} steps"


def test_dead_letters_of_the_new_rules_stay_if_a_crash_is_completed_late() -> None:
    for steps in range(STEPS):
        sink = counted()
        session = Crashing(sink, steps)
        with suppress(Crash):
            apply_change(session, rules(session))
        with sink.session() as again:
            chain = follow(again.read_ledgers([ONE])[ONE])
            epoch = chain.epoch_start.epoch
            again.write_dead_letters([letter(ONE, 140, epoch)])
            old = letter(ONE, 141, 0)
            again.write_dead_letters([old])  # of a worker whose session is over
            again.delete_superseded()
        assert (ONE, 140) in sink.dead_letters, f"after {steps} steps"
        assert ((ONE, 141) in sink.dead_letters) is (epoch == 0), f"after {steps} steps"


def test_what_lies_before_the_boundaries_stays() -> None:
    sink = counted()
    with sink.session() as session:
        apply_change(session, rules(session))
    assert {(source, offset) for source, offset in sink.dead_letters} == {(ONE, 99), (OTHER, 99)}
    assert {key[:2] for key in sink.cells} == {(ONE.id, 0), (OTHER.id, 0)}
    assert [(row.source, row.start) for row in sink.starts if row.epoch == 1] == [
        (ONE, 100),
        (OTHER, 100),
        (NEW, 0),
    ]


def test_counts_of_a_lost_ledger_are_forgotten_before_its_source_begins_anew() -> None:
    sink = counted()
    sink.starts, sink.ledger = [row for row in sink.starts if row.source != ONE], {}
    with sink.session() as session:
        offsets = {ONE: Offsets(30, 150, 150)}
        found = plan_lost(
            lambda _: RULES, ledgers(session), offsets, {(ONE.topic, 0): 9}, session.slice_sums, T // 1000
        )
        apply_change(session, change_of(found))
    assert {key[0] for key in sink.cells} == {OTHER.id}
    assert [row.start for row in sink.starts if row.source == ONE] == [30]
