"""Repair by properties: its bases are those of recovery, and what it writes makes a slice equal to its fold."""

from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow, version_of
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.slices import cut
from pintally.streams.operations.repair.refold import Folded
from pintally.streams.operations.repair.rewrite import repair_slice
from pintally.streams.operations.repair.segments import Shape, base_of_segment, segments
from tests.support.cells import cells
from tests.support.memory_sink import MemorySink

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
T = 1_700_000_000_000 // ARRIVAL_BUCKET_MS * ARRIVAL_BUCKET_MS
NOW = T // 1000


@st.composite
def ledgers(draw: st.DrawFn) -> SourceLedger:
    """What a worker has recorded of a log up to some offset, under one set of rules."""
    size, end = draw(st.integers(1, 12)), draw(st.integers(1, 50))
    steps = draw(
        st.lists(
            st.sampled_from([0, 0, 0, 1_000, 60_000, ARRIVAL_BUCKET_MS, 2 * ARRIVAL_BUCKET_MS]),
            min_size=end,
            max_size=end,
        )
    )
    stream_times = T + np.cumsum(np.array(steps, np.int64))
    rows = tuple(
        LedgerRow(
            SOURCE,
            piece.slice_id.slice_block,
            piece.slice_id.arrived_at_seconds,
            piece.start,
            piece.stream_time_before,
            piece.end,
            piece.stream_time,
            Outcomes(piece.end - piece.start),
            piece.end - piece.start,
            0,
            "r",
        )
        for piece in cut(0, end, np.arange(end), stream_times, T, size)
    )
    return SourceLedger((StartRow(SOURCE, 0, 0, T, Rules(slice_records=size).to_json()),), rows)


@given(ledger=ledgers())
def test_a_ledger_without_holes_is_complete_slices_and_the_unfinished_one(ledger: SourceLedger) -> None:
    found = segments(ledger)
    assert [each.shape for each in found] == [Shape.COMPLETE] * (len(found) - 1) + [Shape.UNFINISHED]
    assert [each.row for each in found] == list(ledger.rows)


@given(ledger=ledgers(), data=st.data())
def test_the_base_of_any_slice_is_the_one_that_recovery_would_take_there(
    ledger: SourceLedger, data: st.DataObject
) -> None:
    last = data.draw(st.integers(0, len(ledger.rows) - 1))
    then = SourceLedger(ledger.starts, ledger.rows[: last + 1])
    assert base_of_segment(segments(ledger)[last], ledger) == base_of(follow(then))


@given(ledger=ledgers(), data=st.data())
def test_a_hole_is_where_rows_are_missing_and_nowhere_else(ledger: SourceLedger, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, max(0, len(ledger.rows) - 2))))
    left = tuple(row for number, row in enumerate(ledger.rows) if number not in gone)
    if not left or len(ledger.rows) < 2:
        return
    found = segments(SourceLedger(ledger.starts, left))
    holes = [(each.start.offset, each.end) for each in found if each.shape is Shape.HOLE]
    offsets = {offset for row in ledger.rows if row not in left for offset in range(row.start, row.position)}
    covered = {offset for start, end in holes for offset in range(start, end)}
    assert offsets <= covered
    known = {offset for row in left for offset in range(row.start, row.position)}
    before_a_hole = {offset for row in left if (row.position in offsets) for offset in range(row.start, row.position)}
    assert covered & known <= before_a_hole, "only the slice before a hole is folded along with it"


counts = st.dictionaries(
    st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(7, 9)), st.integers(1, 5), max_size=6
)
versions = st.integers(1, 12)


@given(must=counts, wrong=counts, version=versions, complete=st.booleans())
def test_after_a_repair_a_slice_is_equal_to_its_fold(
    must: dict[tuple[int, int, int], int],
    wrong: dict[tuple[int, int, int], int],
    version: int,
    complete: bool,
) -> None:
    """Of an unfinished slice, what has a higher version than its ledger row is a worker's, and stays."""
    outcomes = Outcomes(10)
    row = LedgerRow(SOURCE, 0, NOW, 0, T, 10, T, outcomes, sum(must.values()), 0, "r")
    folded = Folded(row, (_cells(must, 10),), ())
    sink = MemorySink()
    with sink.session() as session:
        session.write_cells(_cells(wrong, version))
        for _ in range(2):
            repaired = repair_slice(session, folded, row, complete=complete, cells_from={}, letters_from=0)
        found = session.read_slice(PinMinuteRows, SOURCE, 0, NOW)
    have = {key: n for key, n in zip(_keys(found), found.events.tolist(), strict=True) if n}
    if complete or version <= 10:
        assert have == must
        assert not repaired, "a second run finds nothing"
    else:
        assert have == must | wrong


def _cells(counted: dict[tuple[int, int, int], int], version: int) -> PinMinuteRows:
    return cells(
        *((SOURCE.id, 0, NOW, a, NOW + m * 60, p, n, version_of(0, version)) for (a, m, p), n in counted.items())
    )


def _keys(found: PinMinuteRows) -> list[tuple[int, int, int]]:
    minutes = ((found.minute.astype(np.int64) - NOW) // 60).tolist()
    return list(zip(found.action.tolist(), minutes, found.pin_id.tolist(), strict=True))
