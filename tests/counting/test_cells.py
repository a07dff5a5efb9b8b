"""C6 and C7: cells, and which of them the sink does not know."""

from collections import Counter
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.sources import Source
from pintally.streams.counting.aggregates import PinMinutes, SliceVersion, pin_minutes
from pintally.streams.counting.slices import SliceId
from tests.support.cells import judged

Records = list[tuple[int, int]]  # minute, pin
AT = SliceVersion(Source("engagement.save.v1", UUID(int=1), 0), Action.SAVE, SliceId(0, 0), 0, 1)

RECORDS = st.lists(
    st.tuples(st.sampled_from([0, 1, 28_333_340, 2**32 // 60]), st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])),
    max_size=30,
)
OPS = st.lists(st.one_of(RECORDS, st.sampled_from(["take", "flushed", "back", "merge"])), max_size=25)


def add(cells: PinMinutes, records: Records) -> None:
    cells.add(judged(records), np.arange(len(records)))


def taken(cells: PinMinutes) -> dict[tuple[int, int], int]:
    rows = cells.take_dirty(AT)
    keys = list(zip((rows.minute // 60).tolist(), rows.pin_id.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, rows.events.tolist(), strict=True))


def replay(ops: list[Records | str]) -> None:
    """The same on a Counter; every take says all that changed since it was last known to the sink."""
    cells, truth = PinMinutes(), Counter[tuple[int, int]]()
    dirty: set[tuple[int, int]] = set()
    in_flight: set[tuple[int, int]] | None = None
    for op in [*ops, "flushed", "take"]:
        if isinstance(op, list):
            add(cells, op)
            truth.update(op)
            dirty.update(op)
        elif op == "take" and in_flight is None:
            assert taken(cells) == {key: truth[key] for key in dirty}
            dirty, in_flight = set(), dirty
        elif op == "flushed" and in_flight is not None:
            cells.mark_flushed()
            in_flight = None
        elif op == "back" and in_flight is not None:
            cells.merge_back()
            dirty, in_flight = dirty | in_flight, None
        elif op == "merge":
            cells.merge_buffer()
            assert cells.pending == len(dirty | (in_flight or set()))
            assert cells.sum == truth.total()
            assert len(cells) == len(truth)
        assert cells.pending >= len(dirty | (in_flight or set()))


@given(OPS)
@settings(deadline=None)
def test_what_is_taken_is_all_that_changed_since_the_sink_last_knew(ops: list[Records | str]) -> None:
    """C6 and C7: absolute counts; dirty is not cleared before the answer; what came back is dirty again."""
    replay(ops)


@given(OPS)
@settings(deadline=None, max_examples=40)
def test_cells_that_meet_in_one_key_are_told_apart(ops: list[Records | str]) -> None:
    """The first ways to spread a minute are bad on purpose: all minutes share a key, then every other one."""
    spread = PinMinutes._spread

    def bad(self: PinMinutes, minutes: np.ndarray) -> np.ndarray:
        self._tries = getattr(self, "_tries", {self._multiplier: 0})  # type: ignore[attr-defined]
        nth = self._tries.setdefault(self._multiplier, len(self._tries))  # type: ignore[attr-defined]
        return (minutes & nth).astype(np.uint64) if nth < 3 else spread(self, minutes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PinMinutes, "_spread", bad)
        replay(ops)


@pytest.mark.parametrize("merged_between", [True, False])
def test_a_cell_that_meets_an_older_one_in_its_key_is_told_apart(merged_between: bool) -> None:
    """Pins made so that both cells have the same key, by whoever knows how minutes are spread."""
    cells = PinMinutes()
    one, other = (int(key) for key in cells._spread(np.array([28_000_000, 28_000_001], np.uint32)))
    add(cells, [(28_000_000, 5)])
    if merged_between:
        cells.merge_buffer()
    add(cells, [(28_000_001, 5 ^ one ^ other)])
    assert taken(cells) == {(28_000_000, 5): 1, (28_000_001, 5 ^ one ^ other): 1}


@given(OPS)
@settings(deadline=None, max_examples=40)
def test_when_the_buffer_is_merged_changes_nothing(ops: list[Records | str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pin_minutes, "BUFFER_RECORDS", 5)
        patch.setattr(pin_minutes, "INITIAL_BUFFER", 2)
        replay(ops)


def test_a_live_cell_costs_at_most_twenty_four_bytes() -> None:
    rng = np.random.default_rng(3)
    cells = PinMinutes()
    for _ in range(50):
        minutes, pins = rng.integers(28_000_000, 28_000_080, 5_000), rng.integers(0, 10_000, 5_000)
        add(cells, list(zip(minutes.tolist(), pins.tolist(), strict=True)))
    cells.end()
    assert cells.sum == 250_000
    assert cells.nbytes <= 24 * len(cells)
