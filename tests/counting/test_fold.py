"""The fold at its edges, one by one (C1 to C4, C6 to C9, C13 to C15)."""

from dataclasses import replace
from itertools import pairwise

import pytest

from pintally.schemas.dead_letters import SENT_BEFORE
from pintally.schemas.outcomes import Outcome, Outcomes
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.streams.counting.fold import Capture, ChunkMissing, ChunkRepeated, LogChanged, RecordsGone, SourceFold
from pintally.streams.counting.slices import Base
from tests.support.cells import only_pin_minutes
from tests.support.logs import ACTION, HOUR, MINUTE, SOURCE, T0, Log, chunk, record
from tests.support.reference import LogRecord

RULES = Rules(allowed_lateness_ms=HOUR, max_clock_skew_ms=5 * MINUTE, retention_ms=24 * HOUR, slice_records=100)
ORIGIN = Base(0, 0, 0, 0)


def folded(*records: LogRecord, end: int | None = None, rules: Rules = RULES, base: Base = ORIGIN) -> SourceFold:
    """A fold of a log in one chunk, from the base to the offset after the last record."""
    end = records[-1].offset + 1 if end is None else end
    fold = SourceFold(SOURCE, ACTION, rules, 2, base)
    fold.fold(chunk(Log(records, end), base.collect_start, end))
    return fold


def captured(fold: SourceFold) -> Capture:
    capture = fold.capture()
    assert capture is not None
    return capture


def outcomes(fold: SourceFold) -> Outcomes:
    """Of all slices that are in memory."""
    rows = [row.outcomes for row in captured(fold).ledger]
    return Outcomes(*(sum(getattr(row, name) for row in rows) for name in Outcomes.__slots__))


def outcome_of(*records: LogRecord, rules: Rules = RULES) -> Outcome:
    """The outcome of the last record: what it adds to the outcomes of those before it."""
    before = outcomes(folded(*records[:-1], rules=rules)) if len(records) > 1 else Outcomes()
    after = outcomes(folded(*records, rules=rules))
    [outcome] = [
        outcome for outcome in Outcome if getattr(after, outcome.name.lower()) > getattr(before, outcome.name.lower())
    ]
    return outcome


def test_event_time_may_lead_the_kafka_timestamp_by_the_skew_and_no_more() -> None:
    """C2."""
    assert outcome_of(record(0, T0, occurred_at=T0 + 5 * MINUTE)) is Outcome.COUNTED
    assert outcome_of(record(0, T0, occurred_at=T0 + 5 * MINUTE + 1)) is Outcome.INVALID


def test_event_time_may_be_as_old_as_the_tables_keep_and_no_older() -> None:
    """C2: retention is measured from the record's own timestamp, so old and not late are both possible."""
    patient = Rules(allowed_lateness_ms=48 * HOUR, retention_ms=24 * HOUR)
    assert outcome_of(record(0, T0, occurred_at=T0 - 24 * HOUR), rules=patient) is Outcome.COUNTED
    assert outcome_of(record(0, T0, occurred_at=T0 - 24 * HOUR - 1), rules=patient) is Outcome.INVALID


def test_skew_and_retention_are_measured_from_the_records_own_timestamp_not_from_stream_time() -> None:
    """C2."""
    ahead = record(0, T0 + 30 * MINUTE)
    assert outcome_of(ahead, record(1, T0, occurred_at=T0 + 6 * MINUTE)) is Outcome.INVALID


def test_a_record_without_a_kafka_timestamp_is_invalid_and_does_not_change_stream_time() -> None:
    """It passes every bound that a broker sets, so it could count below what is final (C22)."""
    fold = folded(record(0, T0), record(1, -1, 9, occurred_at=T0), record(2, T0, 9))
    assert fold.stream_time == T0
    capture = captured(fold)
    assert [row.outcomes for row in capture.ledger] == [Outcomes(counted=2, invalid=1)], "nor is its id registered"
    assert [letter.reason for letter in capture.dead_letters] == [
        "it has no Kafka timestamp: nothing tells when it came"
    ]


def test_a_minute_is_closed_when_its_end_and_the_lateness_reach_stream_time() -> None:
    """C2: <=, with the stream time that includes this record."""
    assert T0 % MINUTE == 0
    stream_time = T0 + HOUR + MINUTE  # closes the minute that begins at T0
    assert outcome_of(record(0, stream_time, occurred_at=T0 + MINUTE)) is Outcome.COUNTED
    assert outcome_of(record(0, stream_time, occurred_at=T0 + MINUTE - 1)) is Outcome.LATE
    assert outcome_of(record(0, stream_time - 1, occurred_at=T0 + MINUTE - 1)) is Outcome.COUNTED
    assert outcome_of(record(0, stream_time - 1, occurred_at=T0)) is Outcome.COUNTED


def test_lateness_is_measured_by_stream_time_not_by_the_records_own_timestamp() -> None:
    """C2."""
    stream_time = T0 + HOUR + MINUTE
    assert outcome_of(record(0, stream_time), record(1, T0, occurred_at=T0)) is Outcome.LATE


def test_event_time_never_changes_stream_time() -> None:
    """C1: a device stream time four minutes ahead makes nobody late."""
    fold = folded(record(0, T0, occurred_at=T0 + 4 * MINUTE))
    assert fold.stream_time == T0


def test_a_timestamp_too_large_to_add_to_makes_a_dead_record_not_a_wrapped_one() -> None:
    """C2: in 64 bits, timestamp + skew may wrap around."""
    far = 2**32 * 1000 - 1
    assert outcome_of(record(0, far, occurred_at=T0)) is Outcome.INVALID


def test_a_late_record_registers_its_id_so_the_next_with_it_is_a_duplicate() -> None:
    """C2: were only counted records to register, this one would be counted."""
    late = record(1, T0, event_id=5, occurred_at=T0 - 2 * HOUR)
    again = record(2, T0, event_id=5)
    assert outcome_of(record(0, T0), late) is Outcome.LATE
    assert outcome_of(record(0, T0), late, again) is Outcome.DUPLICATE


def test_a_duplicate_registers_its_id_so_a_chain_of_them_outlives_the_first() -> None:
    """C2: were only counted records to register, the third, three buckets after the first, would be counted."""
    chain = [record(i, T0 + i * ARRIVAL_BUCKET_MS, event_id=5) for i in range(4)]
    assert outcomes(folded(*chain)) == Outcomes(counted=1, duplicate=3)


def test_a_dead_record_does_not_register_its_id() -> None:
    """C2: an invalid record was never an event, so nothing repeats it."""
    invalid = record(0, T0, event_id=5, occurred_at=T0 + HOUR)
    assert outcome_of(invalid, record(1, T0, event_id=5)) is Outcome.COUNTED


def test_an_id_matters_for_one_more_bucket_and_one_more_block_and_then_no_longer() -> None:
    """C2."""
    first = record(0, T0, event_id=5)
    assert outcome_of(first, record(1, T0 + 2 * ARRIVAL_BUCKET_MS - 1, event_id=5)) is Outcome.DUPLICATE
    assert outcome_of(first, record(1, T0 + 2 * ARRIVAL_BUCKET_MS, event_id=5)) is Outcome.COUNTED
    assert outcome_of(first, record(199, T0, event_id=5)) is Outcome.DUPLICATE
    assert outcome_of(first, record(200, T0, event_id=5)) is Outcome.COUNTED


def test_late_comes_before_duplicate() -> None:
    """C2: the order of the outcomes."""
    late = [record(i, T0, event_id=5, occurred_at=T0 - 2 * HOUR) for i in (0, 1)]
    assert outcome_of(*late) is Outcome.LATE


def test_without_dedup_every_record_counts() -> None:
    twice = [record(i, T0, event_id=5) for i in (0, 1)]
    assert outcomes(folded(*twice, rules=Rules(dedup=False))) == Outcomes(counted=2)


def test_the_largest_pin_and_pin_zero_are_counted_as_they_are() -> None:
    capture = captured(folded(record(0, T0, pin=2**64 - 1), record(1, T0, pin=0), record(2, T0, pin=2**64 - 1)))
    assert sorted(only_pin_minutes(capture.cells).tuples(("pin_id", "events"))) == [(0, 1), (2**64 - 1, 2)]


def test_a_minute_begins_at_its_first_millisecond() -> None:
    capture = captured(folded(record(0, T0, occurred_at=T0 - 1), record(1, T0, occurred_at=T0)))
    assert sorted(only_pin_minutes(capture.cells).minute.tolist()) == [T0 // 1000 - 60, T0 // 1000]


def test_gaps_fill_slices_of_their_own_and_the_ledger_joins_them() -> None:
    """C3 and C25."""
    ledger = captured(folded(record(3, T0), record(320, T0), end=450)).ledger
    assert [(row.slice_block, row.arrived_at, row.start, row.position, row.outcomes.gaps) for row in ledger] == [
        (0, 0, 0, 3, 3),
        (0, T0 // 1000, 3, 100, 96),
        (1, T0 // 1000, 100, 200, 100),
        (2, T0 // 1000, 200, 300, 100),
        (3, T0 // 1000, 300, 400, 99),
        (4, T0 // 1000, 400, 450, 50),
    ]
    assert all(a.stream_time == b.start_stream_time and a.position == b.start for a, b in pairwise(ledger))
    assert all(row.outcomes.total == row.position - row.start for row in ledger)


def test_a_chunk_without_records_moves_the_position_only() -> None:
    """C3: transaction markers alone."""
    fold = folded(record(0, T0))
    fold.fold(chunk(Log((), 5), 1, 5))
    assert (fold.position, fold.stream_time) == (5, T0)
    assert outcomes(fold) == Outcomes(counted=1, gaps=4)


def test_a_repeat_and_a_hole_are_refused_by_name_and_tell_where_to_go_on() -> None:
    """C4."""
    log = Log(tuple(record(i, T0) for i in range(9)), 9)
    fold = folded(*log.records[:5])
    for start, refusal in ((4, ChunkRepeated), (6, ChunkMissing)):
        with pytest.raises(refusal) as refused:
            fold.fold(chunk(log, start, 9))
        assert refused.value.expected == 5
    assert outcomes(fold) == Outcomes(counted=5)


def test_offsets_outside_a_chunks_own_range_are_a_fault() -> None:
    fold = SourceFold(SOURCE, ACTION, RULES, 2, ORIGIN)
    wrong = chunk(Log((record(3, T0), record(4, T0)), 5), 0, 5)
    for start, end in ((0, 4), (0, 3)):
        with pytest.raises(ValueError, match="do not ascend"):
            fold.fold(type(wrong)("t", 0, start, end, wrong.offsets, wrong.timestamps, wrong.values, wrong.envelopes))
    wrong.offsets[1] = 3
    with pytest.raises(ValueError, match="do not ascend"):
        fold.fold(wrong)
    assert fold.position == 0


def test_collecting_registers_ids_and_counts_nothing() -> None:
    """C14."""
    old = [record(i, T0, event_id=i + 1) for i in range(3)]
    base = Base(0, 0, 3, T0)
    fold = folded(*old, base=base)
    assert fold.counting
    assert fold.capture() is None
    assert fold.pending_cells == 0
    fold.fold(chunk(Log((record(3, T0, event_id=2), record(4, T0)), 5), 3, 5))
    capture = captured(fold)
    assert [(row.start, row.start_stream_time, row.outcomes) for row in capture.ledger] == [(3, T0, Outcomes(1, 1))]


def test_a_base_inside_a_chunk_begins_a_slice_there() -> None:
    """C14: late and invalid records before it are not handed out again."""
    invalid = LogRecord(1, T0, b"not json")
    fold = folded(record(0, T0), invalid, record(2, T0), LogRecord(3, T0, None), base=Base(0, 0, 2, T0))
    capture = captured(fold)
    assert [(row.start, row.position, row.outcomes) for row in capture.ledger] == [
        (2, 4, Outcomes(counted=1, invalid=1))
    ]
    assert [letter.offset for letter in capture.dead_letters] == [3]


def test_a_log_that_does_not_lead_to_the_stream_time_of_the_base_is_refused() -> None:
    """C13 and C14: records before the base are gone, or were changed."""
    with pytest.raises(LogChanged, match=f"is {T0} ms, but the ledger says {T0 + 1}"):
        folded(record(0, T0), record(1, T0), base=Base(0, 0, 1, T0 + 1))
    with pytest.raises(LogChanged):
        SourceFold(SOURCE, ACTION, RULES, 2, Base(5, 1, 5, 2))


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    """C11."""
    patient = Rules(allowed_lateness_ms=HOUR, retention_ms=24 * HOUR)
    records = (
        record(0, T0, occurred_at=T0 + 6 * MINUTE),
        record(1, T0, occurred_at=T0 - 25 * HOUR),
        record(2, T0, occurred_at=T0 - 2 * HOUR),
        LogRecord(3, -1, b"{", None, (("a", b"b"),)),
    )
    letters = captured(folded(*records, rules=patient)).dead_letters
    assert [(x.offset, x.timestamp, x.outcome, x.key, x.value, x.headers) for x in letters] == [
        (r.offset, r.timestamp, outcome, r.key, r.value, r.headers)
        for r, outcome in zip(records, ("invalid", "invalid", "late", "invalid"), strict=True)
    ]
    leads, old, late, invalid = (letter.reason for letter in letters)
    assert "leads the Kafka timestamp" in leads
    assert leads.endswith("by more than 300 s")
    assert "older than the tables keep" in old
    assert late.startswith("late by 3540 s")
    assert "JSON" in invalid


def test_only_one_capture_is_in_flight_and_only_it_can_be_answered() -> None:
    """C7."""
    fold = folded(record(0, T0))
    first = captured(fold)
    with pytest.raises(RuntimeError, match="in flight"):
        fold.capture()
    fold.merge_back(first)
    second = captured(fold)
    for answer in (fold.acknowledge, fold.merge_back):
        with pytest.raises(RuntimeError, match="not in flight"):
            answer(first)
    fold.acknowledge(second)
    assert fold.capture() is None


def test_rows_wait_as_pending_until_the_answer_and_come_again_after_a_failure() -> None:
    """C7: dirty is never cleared before the answer."""
    fold = folded(record(0, T0), record(1, T0, pin=2), LogRecord(2, T0, None))
    capture = captured(fold)
    assert fold.pending_cells == 3
    fold.fold(chunk(Log((record(3, T0),), 4), 3, 4))
    fold.merge_back(capture)
    again = captured(fold)
    assert sorted(only_pin_minutes(again.cells).tuples(("pin_id", "events"))) == [(1, 2), (2, 1)]
    assert again.cells[0].version.tolist() == [(2 << 48) + 4] * 2
    assert again.dead_letters == capture.dead_letters
    fold.fold(chunk(Log((LogRecord(4, T0, None),), 5), 4, 5))
    fold.merge_back(again)
    again = captured(fold)
    assert [letter.offset for letter in again.dead_letters] == [2, 4]
    fold.acknowledge(again)
    assert fold.pending_cells == 0
    assert fold.flushed_version == (2 << 48) + 5


def test_what_changes_while_a_flush_is_in_flight_goes_out_with_the_next() -> None:
    """C6 and C7."""
    fold = folded(record(0, T0), record(1, T0, pin=2))
    capture = captured(fold)
    fold.fold(chunk(Log((record(2, T0),), 3), 2, 3))
    fold.acknowledge(capture)
    rows = captured(fold)
    assert only_pin_minutes(rows.cells).tuples(("pin_id", "events")) == [(1, 2)]
    assert [row.position for row in rows.ledger] == [3]


def test_a_late_letter_says_whether_its_event_was_sent_before() -> None:
    """A replay must not count it a second time; a dead letter says nothing, for it was not looked at."""
    late, stream_time = T0, T0 + 2 * HOUR
    once = record(0, stream_time, event_id=1, occurred_at=late)
    again = record(1, stream_time, event_id=1, occurred_at=late)
    early = record(2, stream_time, event_id=2)
    altered = record(3, stream_time, event_id=2, occurred_at=late)
    invalid = record(4, stream_time, event_id=2, occurred_at=stream_time - 25 * HOUR)
    letters = captured(folded(once, again, early, altered, invalid)).dead_letters
    assert [(letter.offset, letter.reason.endswith(SENT_BEFORE)) for letter in letters] == [
        (0, False), (1, True), (3, True), (4, False),
    ]  # fmt: skip
    (_, unsure, *_) = captured(folded(once, again, rules=replace(RULES, dedup=False))).dead_letters
    assert not unsure.reason.endswith(SENT_BEFORE)


def test_far_behind_only_slices_that_have_ended_go_out_with_their_dead_letters() -> None:
    """C9; a version never lies beyond its slice's end (C8)."""
    fold = folded(LogRecord(98, T0, None), record(99, T0), LogRecord(100, T0, None), record(101, T0))
    capture = fold.capture(ended_only=True)
    assert capture is not None
    assert [row.position for row in capture.ledger] == [98, 100]
    assert [letter.offset for letter in capture.dead_letters] == [98]
    assert set(capture.cells[0].version.tolist()) == {(2 << 48) + 100}
    fold.acknowledge(capture)
    assert fold.capture(ended_only=True) is None
    rest = captured(fold)
    assert [(row.start, row.position) for row in rest.ledger] == [(100, 102)]
    assert [letter.offset for letter in rest.dead_letters] == [100]


def test_a_slice_ends_with_its_block_though_nothing_came_after_it() -> None:
    """C9."""
    fold = folded(record(99, T0))
    capture = fold.capture(ended_only=True)
    assert capture is not None
    assert capture.ledger[-1].position == 100


def test_slices_that_have_ended_leave_memory_when_acknowledged() -> None:
    fold = folded(*(record(i, T0 + i * 1000, pin=i) for i in range(300)))
    fold.acknowledge(captured(fold))
    empty = folded(*(record(i, T0 + i * 1000, pin=i) for i in range(300)), rules=RULES)
    assert fold.nbytes < empty.nbytes
    assert fold.capture() is None


def test_a_new_slice_with_the_next_record_makes_the_one_before_it_go_once_more_only_if_it_grew() -> None:
    """C8: a ledger row says something new, or is not said."""
    fold = folded(record(0, T0))
    fold.acknowledge(captured(fold))
    fold.fold(chunk(Log((record(1, T0 + ARRIVAL_BUCKET_MS),), 2), 1, 2))
    assert [(row.start, row.position) for row in captured(fold).ledger] == [(1, 2)]


def test_a_large_dead_letter_counts_as_the_cells_whose_room_it_takes() -> None:
    fold = folded(LogRecord(0, T0, b"x" * 10_000))
    assert fold.pending_cells == 101
    capture = captured(fold)
    assert fold.pending_cells == 101, "in flight"
    fold.merge_back(capture)
    again = captured(fold)
    assert fold.pending_cells == 101
    fold.acknowledge(again)
    assert fold.pending_cells == 0


def cut_off(*records: LogRecord) -> tuple[SourceFold, Base]:
    """A worker that has counted these and goes on; and where another begins when retention has taken them."""
    fold = folded(*records)
    capture = captured(fold)
    fold.acknowledge(capture)
    [row] = capture.ledger
    return fold, Base(row.position, row.stream_time, row.position, row.stream_time, is_cut=True, open_slice=row)


def test_offsets_without_a_record_still_come_to_the_slice_whose_records_are_gone() -> None:
    """Transaction markers: they have no time of their own (C3)."""
    alive, base = cut_off(record(0, T0), record(1, T0, occurred_at=T0 - 2 * HOUR), record(2, T0, 9), record(3, T0, 9))
    later = Log((record(7, T0 + 2 * ARRIVAL_BUCKET_MS, 9),), 8)
    restarted = SourceFold(SOURCE, ACTION, RULES, 2, base)
    for fold in (alive, restarted):
        fold.fold(chunk(later, 4, 8))
    rows = captured(restarted).ledger
    assert rows == captured(alive).ledger
    assert [(row.start, row.position, row.outcomes) for row in rows] == [
        (0, 7, Outcomes(counted=2, duplicate=1, late=1, gaps=3)),
        (7, 8, Outcomes(counted=1)),
    ]


@pytest.mark.parametrize("timestamp", [T0, T0 + 2 * ARRIVAL_BUCKET_MS - 1, -1])
def test_a_record_to_which_what_is_gone_could_matter_is_refused(timestamp: int) -> None:
    """Its id may have been there before, or its slice have cells that nobody has in memory (C2)."""
    _, base = cut_off(record(0, T0, 9))
    fold = SourceFold(SOURCE, ACTION, RULES, 2, base)
    for _ in range(2):
        with pytest.raises(
            RecordsGone, match="the record at offset 3 came within twenty minutes of those below offset 1"
        ):
            fold.fold(chunk(Log((record(3, timestamp, 9),), 4), 1, 4))
        assert fold.position == 1
        assert fold.capture() is None
