"""What `accept-loss` plans: where counting goes on; that nothing is counted twice, or under a name that is taken."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import pintally.audit.flushed as audit
from pintally.audit.chain import epochs_in_force
from pintally.audit.chain import follow as chain_of_verify
from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import (
    LAST_OFFSET,
    LedgerRow,
    LostKind,
    LostRow,
    SliceSum,
    SourceLedger,
    StartRow,
    position_of,
    version_of,
)
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain, base_of, effective, follow, is_half_lost
from pintally.streams.counting.refusals import refuse_half_lost
from pintally.streams.counting.slices import Base, cut
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.lost import Lost, change_of, plan_lost
from pintally.streams.operations.change.restamp import Restamp
from pintally.streams.operations.change.rules import plan_rules
from pintally.streams.operations.repair.segments import Shape, segments
from tests.support.cells import cells
from tests.support.memory_sink import MemorySession, MemorySink

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
RULES = Rules(slice_records=100)
T = 1_700_000_000_000 // ARRIVAL_BUCKET_MS * ARRIVAL_BUCKET_MS
NOW = T // 1000


def start(offset: int = 0, epoch: int = 0, stream_time: int = T) -> StartRow:
    return StartRow(SOURCE, epoch, offset, stream_time, RULES.to_json())


def row(begin: int, position: int, epoch: int = 0, stream_time: int = T) -> LedgerRow:
    outcomes = Outcomes(position - begin)
    arrived_at = stream_time // ARRIVAL_BUCKET_MS * 600
    return LedgerRow(
        SOURCE,
        begin // 100,
        arrived_at,
        begin,
        stream_time,
        position,
        stream_time + position,
        outcomes,
        outcomes.counted,
        epoch,
        "r",
    )


def plan(
    ledger: SourceLedger,
    ends: Offsets,
    sums: Mapping[tuple[int, int], SliceSum] | None = None,
    committed: int = 0,
    others: Mapping[Source, SourceLedger] | None = None,
) -> list[Lost]:
    counted = {
        (each.slice_block, each.arrived_at): SliceSum(each.check_sums, each.version, each.position)
        for each in ledger.rows
    }
    return plan_lost(
        lambda _: RULES,
        {SOURCE: ledger, **(others or {})},
        {SOURCE: ends},
        {(SOURCE.topic, 0): committed},
        lambda _: counted if sums is None else sums,
        NOW,
        "why",
    )


def seen_by_verify(ledger: SourceLedger) -> audit.Flushed:
    starts = tuple(audit.StartRow(each.epoch, each.start, each.start_stream_time, each.rules) for each in ledger.starts)
    names = [name for name in audit.LedgerRow.__annotations__ if name in LedgerRow.__dataclass_fields__]
    rows = tuple(
        audit.LedgerRow(**{name: getattr(each, name) for name in names}, **asdict(each.outcomes), version=each.version)
        for each in ledger.rows
    )
    gone = tuple(audit.LostRow(each.epoch, each.kind, each.start, each.end, each.note) for each in ledger.lost)
    return audit.Flushed(SOURCE.id, SOURCE.topic, SOURCE.topic_id, 0, starts, rows, gone)


COUNTED = SourceLedger((start(),), (row(0, 100), row(100, 150)))


def test_nothing_is_lost_of_a_log_that_holds_what_must_be_read() -> None:
    assert plan(COUNTED, Offsets(0, 150, 150)) == []
    assert plan(SourceLedger((), ()), Offsets(0, 9, 9)) == []


def test_counting_goes_on_where_the_log_starts() -> None:
    [lost] = plan(COUNTED, Offsets(320, 500, 500))
    assert lost.row == LostRow(SOURCE, 2, LostKind.TRIMMED, 150, 320, "why")
    assert lost.start == StartRow(SOURCE, 2, 320, T + 150, RULES.to_json())
    assert lost.reopen_from is None, "no count changes"


def test_a_log_that_starts_below_the_position_still_goes_on_at_the_position_under_another_name() -> None:
    """Only what the unfinished slice needs is gone. Its block goes on, so the stream time moves to the next ten
    minutes.
    """
    [lost] = plan(COUNTED, Offsets(120, 500, 500))
    assert lost.row == LostRow(SOURCE, 2, LostKind.TRIMMED, 150, 150, "why")
    assert lost.start == StartRow(SOURCE, 2, 150, T + ARRIVAL_BUCKET_MS, RULES.to_json())


def test_the_slice_that_was_cut_short_gets_an_epoch_of_its_own() -> None:
    [lost] = plan(COUNTED, Offsets(120, 500, 500))
    assert lost.kept == Restamp(start(100, 1), 0, 150, ((1, T // 1000),), (row(100, 150),))


def test_a_slice_that_no_flush_has_told_of_has_an_epoch_of_its_own_too() -> None:
    """What a worker that sleeps writes of it begins below where counting goes on."""
    [lost] = plan(SourceLedger((start(),), ()), Offsets(50, 500, 500))
    assert lost.kept == Restamp(start(0, 1), 0, 50, (), ())
    assert lost.start == start(50, 2)


def test_an_interrupted_run_is_finished_whatever_the_log_and_the_ledger_have_become() -> None:
    """Rows may be said by an epoch that does not rule yet: an epoch start of that number elsewhere would count them."""
    [lost] = plan(COUNTED, Offsets(120, 500, 500))
    assert lost.row
    half = replace(COUNTED, rows=(row(0, 100), row(100, 150, 1)), lost=(lost.row,))
    assert is_half_lost(half)
    for ends in (Offsets(0, 120, 120), Offsets(120, 120, 120), Offsets(0, 500, 500)):
        [again] = plan(half, ends)
        assert again.kept
        assert (again.row, again.start, again.kept.begin) == (lost.row, lost.start, start(100, 1))
    with pytest.raises(Refusal, match="pintally accept-loss"):
        plan_rules(lambda _: RULES, {SOURCE: half}, {SOURCE: Offsets(0, 500, 500)}, {}, lambda _: {})
    with pytest.raises(Refusal, match="pintally accept-loss"):
        refuse_half_lost(SOURCE, half)
    refuse_half_lost(SOURCE, replace(half, starts=(*half.starts, lost.start or start())))


def test_what_rows_ahead_of_the_ledger_tell_of_is_not_counted_again() -> None:
    """A flush that was cut off wrote cells up to offset 190, and no ledger row."""
    sums = {(1, T // 1000): SliceSum({"pin_minutes": 70}, version_of(0, 190), 190)}
    [lost] = plan(COUNTED, Offsets(120, 500, 500), sums)
    assert lost.row
    assert lost.start
    assert (lost.row.start, lost.row.end, lost.start.start) == (150, 190, 190)


def test_a_crash_between_the_lost_row_and_the_start_row_leaves_the_ledger_as_it_was() -> None:
    [lost] = plan(COUNTED, Offsets(320, 500, 500))
    assert lost.row
    assert lost.start
    half = replace(COUNTED, lost=(lost.row,))
    assert (effective(half), follow(half)) == ([], follow(COUNTED))
    assert plan(half, Offsets(320, 500, 500)) == [lost]
    whole = replace(half, starts=(*half.starts, lost.start))
    assert effective(whole) == [lost.row]
    assert plan(whole, Offsets(320, 500, 500)) == []


def test_the_fold_steps_over_what_was_lost_and_collects_no_id_from_before_it() -> None:
    gap = LostRow(SOURCE, 1, LostKind.TRIMMED, 150, 180, "")
    ledger = SourceLedger((start(), start(180, 1)), COUNTED.rows, (gap,))
    chain = follow(ledger)
    assert (chain.start, chain.position, chain.unfinished, chain.hole) == (180, 180, None, None)
    assert [each.start for each in chain.complete] == [0, 100]
    assert base_of(chain) == Base(180, T, 180, T)
    later = replace(
        ledger, rows=(*ledger.rows, row(180, 200, 1, T + ARRIVAL_BUCKET_MS), row(200, 250, 1, T + ARRIVAL_BUCKET_MS))
    )
    assert base_of(follow(later)).collect_start == 180


def test_rules_may_change_where_counting_goes_on_before_anything_is_counted_there() -> None:
    """Else the range was no longer given up: every worker refused a hole that no `repair` could fill."""
    gap = LostRow(SOURCE, 1, LostKind.TRIMMED, 150, 180, "")
    ledger = SourceLedger((start(), start(180, 1)), COUNTED.rows, (gap,))
    other = replace(RULES, allowed_lateness_ms=60_000)
    change = plan_rules(lambda _: other, {SOURCE: ledger}, {SOURCE: Offsets(180, 500, 500)}, {}, lambda _: {})
    changed = replace(ledger, starts=(*ledger.starts, *change.starts))
    chain = follow(changed)
    assert (chain.epoch_start.epoch, chain.start, chain.hole, effective(changed)) == (2, 180, None, [gap])
    assert base_of(chain).collect_start == 180
    assert [segment.shape for segment in segments(changed)] == [Shape.COMPLETE, Shape.TRUNCATED_BY_LOSS]
    assert plan(changed, Offsets(180, 500, 500)) == []
    seen = seen_by_verify(changed)
    assert chain_of_verify(seen, epochs_in_force(seen.starts)) == (180, [])


def test_a_late_insert_of_the_slice_that_was_cut_short_does_not_lead_astray() -> None:
    gap = LostRow(SOURCE, 1, LostKind.TRIMMED, 150, 180, "")
    ledger = SourceLedger((start(), start(180, 1)), (row(0, 100), row(100, 195)), (gap,))
    assert follow(ledger).start == 180


def test_a_truncated_log_is_counted_anew_from_the_slice_that_holds_its_end() -> None:
    [lost] = plan(COUNTED, Offsets(0, 120, 120))
    assert lost.row == LostRow(SOURCE, 1, LostKind.TRUNCATED, 120, 150, "why")
    assert lost.start == StartRow(SOURCE, 1, 100, T, RULES.to_json())
    assert lost.reopen_from == (T - RULES.allowed_lateness_ms - 60_000) // 1000
    [lost] = plan(COUNTED, Offsets(0, 30, 30))
    assert lost.start == StartRow(SOURCE, 1, 0, T, RULES.to_json())


def test_an_epoch_start_below_an_earlier_one_replaces_it() -> None:
    """Rules were changed at 200, then the log lost all from 120 on."""
    changed = SourceLedger((start(), start(200, 1)), (row(0, 100), row(100, 200), row(200, 230, 1)))
    [lost] = plan(changed, Offsets(0, 120, 120))
    assert lost.start
    ledger = replace(changed, starts=(*changed.starts, lost.start))
    chain = follow(ledger)
    assert (chain.start, chain.epoch_start.epoch, chain.hole) == (100, 2, None)
    counted = replace(ledger, rows=(row(0, 100), row(100, 120, 2), row(120, 200, 2)))
    assert follow(counted).start == 120, "the start row at 200 rules no more, and ends no slice"


def test_a_topic_made_again_retires_the_sources_of_the_first_once() -> None:
    first = replace(SOURCE, topic_id=UUID(int=9))
    ledger = SourceLedger((start(),), (row(0, 70),))
    [lost] = plan(SourceLedger((), ()), Offsets(0, 9, 9), committed=4, others={first: ledger})
    assert lost.row == LostRow(first, 0, LostKind.RETIRED, 70, LAST_OFFSET, "why")
    assert lost.start is None
    assert lost.row
    retired = replace(ledger, lost=(lost.row,))
    assert plan(SourceLedger((), ()), Offsets(0, 9, 9), committed=4, others={first: retired}) == []


def test_a_lost_ledger_is_counted_anew_from_the_logs_start() -> None:
    [lost] = plan(SourceLedger((), ()), Offsets(7, 9, 9), committed=4)
    assert lost.row == LostRow(SOURCE, 1, LostKind.RECOUNTED, 0, 7, "why")
    assert lost.start == StartRow(SOURCE, 1, 7, 0, RULES.to_json())
    assert lost.forget
    [lost] = plan(SourceLedger((), ()), Offsets(0, 9, 9), committed=4)
    assert lost.row is None


def test_damage_that_the_log_cannot_mend_is_noted_once() -> None:
    rows = (
        row(0, 100),
        row(100, 200),
        row(200, 300, stream_time=T + 3 * ARRIVAL_BUCKET_MS),
        row(300, 310, stream_time=T + 5 * ARRIVAL_BUCKET_MS),
    )
    ledger = SourceLedger((start(),), rows)
    sums = {
        (each.slice_block, each.arrived_at): SliceSum(
            {"pin_minutes": each.cells_sum - (each.start == 100)}, each.version, each.position
        )
        for each in rows
    }
    ends = Offsets(250, 500, 500)
    [lost] = plan(ledger, ends, sums)
    assert lost.row == LostRow(SOURCE, 0, LostKind.DAMAGED, 100, 200, "why")
    assert lost.row
    assert plan(replace(ledger, lost=(lost.row,)), ends, sums) == []


def trims(data: st.DataObject, size: int, change_of: Callable[[list[Lost]], Change] = change_of) -> None:
    """A worker folds on, is cut off somewhere in a flush, retention overtakes it, an operator gives up; again and
    again.

    Every slice writes one cell that counts its offsets, at the version it was read to. The ledger knows of less. At any
    time later the worker may wake up, and write what it has read meanwhile.
    """
    rules = Rules(slice_records=size)
    sink = MemorySink()
    end = 40
    steps = data.draw(
        st.lists(st.sampled_from([0, 0, 0, 1_000, 60_000, ARRIVAL_BUCKET_MS]), min_size=end, max_size=end)
    )
    stamps = T + np.cumsum(np.array(steps, np.int64))
    asleep: list[tuple[Chain, int]] = []  # where a worker began, and how far it has read

    def flush(session: MaintenanceSession, chain: Chain, read_to: int, recorded_to: int) -> None:
        begin, epoch = chain.start, chain.epoch_start.epoch
        stream_times = np.maximum(np.maximum.accumulate(stamps[begin:read_to]), chain.start_stream_time)
        rows = []
        for piece in cut(begin, read_to, np.arange(begin, read_to), stream_times, chain.start_stream_time, size):
            name = (piece.slice_id.slice_block, piece.slice_id.arrived_at_seconds)
            version = version_of(epoch, piece.end)
            session.write_cells(cells((SOURCE.id, *name, 1, NOW, 7, piece.end - piece.start, version)))
            if piece.start < recorded_to:
                at = min(piece.end, recorded_to)
                stream_time, outcomes = int(stream_times[at - begin - 1]), Outcomes(at - piece.start)
                rows.append(
                    LedgerRow(
                        SOURCE, *name, piece.start, piece.stream_time_before, at, stream_time, outcomes, 0, epoch, "r"
                    )
                )
        session.write_ledger(rows)

    with sink.session() as session:
        session.write_starts([StartRow(SOURCE, 0, 0, T, rules.to_json())])
        for _ in range(data.draw(st.integers(1, 4))):
            before = follow(session.read_ledgers([SOURCE])[SOURCE])
            read_to = data.draw(st.integers(before.start, end))
            flush(session, before, read_to, data.draw(st.integers(before.start, read_to)))
            asleep.append((before, data.draw(st.integers(read_to, end))))
            ledger = session.read_ledgers([SOURCE])[SOURCE]
            position = follow(ledger).position
            log_start = data.draw(st.integers(base_of(follow(ledger)).collect_start, end))
            found = plan_lost(
                lambda _: rules, {SOURCE: ledger}, {SOURCE: Offsets(log_start, end, end)}, {}, session.slice_sums, NOW
            )
            begun = [each for each in found if each.start]
            apply_change(session, change_of(begun))
            for chain, further in asleep if begun else ():
                if data.draw(st.booleans()):
                    flush(session, chain, further, data.draw(st.integers(chain.start, further)))
            after = follow(session.read_ledgers([SOURCE])[SOURCE])
            assert after.hole is None
            assert after.position >= position
            if begun:
                assert base_of(after).collect_start >= log_start
        session.delete_superseded()  # as the next sealing does
        told = [offset for row in sink.ledger.values() for offset in range(row.start, row.position)]
        assert len(told) == len(set(told)), "the ledger tells of no offset twice"
        starts = {(row.slice_block, row.arrived_at): row.start for row in sink.ledger.values()}
        # A cell without a ledger row tells of a slice's offsets up to its version, as every cell here does.
        ranges = sorted(
            (position_of(version) - count, position_of(version)) for version, count, _ in sink.cells.values() if count
        )
        assert all(stop <= begin for (_, stop), (begin, _) in pairwise(ranges)), "no cell counts what another counts"
        for (_, slice_block, arrived_at), row in sink.ledger.items():
            key = (SOURCE.id, slice_block, arrived_at, 1, NOW, 7, "unknown", "unknown")
            version, count, _ = sink.cells.get(key, (0, 0, 0))
            assert count >= row.position - row.start, "what the ledger vouches for is there"
            assert position_of(version) - count == starts[slice_block, arrived_at]


DRAWS = {"data": st.data(), "size": st.integers(1, 12)}


@given(**DRAWS)
def test_no_offset_is_counted_twice_however_often_logs_are_trimmed_and_whoever_wakes_up(
    data: st.DataObject, size: int
) -> None:
    trims(data, size)


@settings(phases=[Phase.generate], max_examples=2_000, derandomize=True)
@given(**DRAWS)
def without_taking_over(data: st.DataObject, size: int) -> None:
    trims(data, size, lambda found: replace(change_of(found), restamped=()))


@settings(phases=[Phase.generate], max_examples=2_000, derandomize=True)
@given(**DRAWS)
def with_the_ledger_alone(data: st.DataObject, size: int) -> None:
    read = MemorySession.slice_sums

    def sums(session: MemorySession, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        return {name: replace(found, position=0) for name, found in read(session, source).items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemorySession, "slice_sums", sums)
        trims(data, size)


@pytest.mark.parametrize("wrong", [without_taking_over, with_the_ledger_alone])
def test_a_lost_that_is_wrong_would_be_noticed(wrong: Callable[[], None]) -> None:
    with pytest.raises((AssertionError, SinkUnavailable)):
        wrong()
