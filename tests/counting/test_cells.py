"""C6, C7, C29 and C30: cells, what they count, and which of them the sink does not know."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.aggregates import PinMinutes, SliceVersion, pin_minutes
from pintally.streams.counting.slices import SliceId
from tests.support.cells import Counted, judged
from tests.support.reference import SliceCells

Key = tuple[int, int, str, str]  # minute, pin, surface, platform
AT = SliceVersion(Source("engagement.save.v1", UUID(int=1), 0), Action.SAVE, SliceId(0, 0), 0, 1)

LABELS = st.sampled_from([None, "home", "search", "other", "unknown", "a\\n'\"\x00", "\u00e9"])
RECORDS = st.lists(
    st.builds(
        Counted,
        st.sampled_from([0, 1, 28_333_340, 2**32 // 60]),
        st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1]),
        st.sampled_from([0, 1, 2**64 - 1]),
        LABELS,
        LABELS,
    ),
    max_size=30,
)
OPS = st.lists(st.one_of(RECORDS, st.sampled_from(["take", "flushed", "back", "merge", "new table"])), max_size=25)
RULES = st.builds(Rules, breakdown=st.booleans(), trusted_cap=st.sampled_from([0, 1, 2, 5, 2**40]))


def taken(cells: PinMinutes) -> dict[Key, tuple[int, int]]:
    rows = cells.take_dirty(AT)
    found = rows.tuples(("minute", "pin_id", "surface", "platform", "events", "trusted"))
    values = {(minute // 60, *key): (events, trusted) for minute, *key, events, trusted in found}
    assert len(values) == len(found)
    return values


def replay(ops: Sequence[list[Counted] | str], rules: Rules) -> None:
    """The same in dicts; every take says all that changed since it was last known to the sink."""
    cells, truth, labels = PinMinutes(rules), SliceCells(rules), Labels()
    dirty: set[Key] = set()
    in_flight: set[Key] | None = None
    for op in [*ops, "flushed", "take"]:
        if isinstance(op, list):
            cells.add(judged(op, labels), np.arange(len(op)))
            dirty |= {truth.add(each.minute, each.pin, each.user, each.surface, each.platform) for each in op}
        elif op == "new table":
            labels = Labels()
        elif op == "take" and in_flight is None:
            assert taken(cells) == {key: truth.values[key] for key in dirty}
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
            assert cells.sum == sum(events for events, _ in truth.values.values())
            assert len(cells) == len(truth.values)
        assert cells.pending >= len(dirty | (in_flight or set()))


@given(OPS, RULES)
@settings(deadline=None)
def test_what_is_taken_is_all_that_changed_since_the_sink_last_knew(
    ops: list[list[Counted] | str], rules: Rules
) -> None:
    """C6 and C7: absolute counts; dirty is not cleared before the answer; what came back is dirty again."""
    replay(ops, rules)


@given(OPS, RULES)
@settings(deadline=None, max_examples=40)
def test_cells_that_meet_in_one_key_are_told_apart(ops: list[list[Counted] | str], rules: Rules) -> None:
    """The first ways to spread a place are bad on purpose: all places share a key, then every other one."""
    spread = PinMinutes._spread

    def bad(self: PinMinutes, places: np.ndarray) -> np.ndarray:
        tries = self.__dict__.setdefault("_tries", {self._multiplier: 0})
        nth = tries.setdefault(self._multiplier, len(tries))
        return places & np.uint64(nth) if nth < 3 else spread(self, places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PinMinutes, "_spread", bad)
        replay(ops, rules)


@pytest.mark.parametrize("merged_between", [True, False])
def test_a_cell_that_meets_an_older_one_in_its_key_is_told_apart(merged_between: bool) -> None:
    """Pins made so that both cells have the same key, by whoever knows how places are spread."""
    cells = PinMinutes(Rules())
    one, other = (int(key) for key in cells._spread(np.array([28_000_000 << 18, 28_000_001 << 18], np.uint64)))
    cells.add(judged([Counted(28_000_000, 5)]), np.arange(1))
    if merged_between:
        cells.merge_buffer()
    cells.add(judged([Counted(28_000_001, 5 ^ one ^ other)]), np.arange(1))
    nowhere = ("unknown", "unknown")
    assert taken(cells) == {(28_000_000, 5, *nowhere): (1, 1), (28_000_001, 5 ^ one ^ other, *nowhere): (1, 1)}


@given(OPS, RULES)
@settings(deadline=None, max_examples=40)
def test_when_the_buffer_is_merged_changes_nothing(ops: list[list[Counted] | str], rules: Rules) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pin_minutes, "BUFFER_RECORDS", 5)
        patch.setattr(pin_minutes, "INITIAL_BUFFER", 2)
        replay(ops, rules)


def test_a_live_cell_costs_at_most_thirty_two_bytes() -> None:
    rng = np.random.default_rng(3)
    cells = PinMinutes(Rules())
    for _ in range(50):
        chunk = judged([Counted(0, 0)] * 5_000)
        minutes, pins = rng.integers(28_000_000, 28_000_080, 5_000), rng.integers(0, 10_000, 5_000).astype(np.uint64)
        cells.add(replace(chunk, minutes=minutes, decoded=replace(chunk.decoded, pin_id=pins)), np.arange(5_000))
    cells.end()
    assert cells.sum == 250_000
    assert cells.nbytes <= 32 * len(cells)


def test_the_first_256_labels_of_a_slice_count_under_their_own_name() -> None:
    """C29: by offset, surfaces and platforms apart; what has no label, or says `other` or `unknown`, takes no room."""
    named = [
        Counted(0, 1, 0, "other", "unknown"),
        Counted(0, 1),
        *(Counted(0, 1, 0, f"s{n}", "ios") for n in range(300)),
    ]
    last = [Counted(0, 2, 0, "s255", "android"), Counted(0, 2, 0, "s256", "android")]
    cells, labels = PinMinutes(Rules()), Labels()
    cells.add(judged(named, labels), np.arange(len(named)))
    cells.add(judged(last, Labels()), np.arange(2))
    found = taken(cells)
    assert found[0, 1, "other", "unknown"] == (1, 1)
    assert found[0, 1, "unknown", "unknown"] == (1, 1)
    assert found[0, 1, "s255", "ios"][0] == 1
    assert found[0, 1, "other", "ios"][0] == 300 - 256
    assert found[0, 2, "s255", "android"] == found[0, 2, "other", "android"] == (1, 1)
    assert len(found) == 2 + 256 + 1 + 2


def test_labels_beyond_what_the_decoder_numbers_are_told_apart() -> None:
    """C29: a chunk with more labels than the decoder's table has room for."""
    chunk = [Counted(0, n % 3, n, f"s{n}", f"p{n % 300}") for n in range(9_000)]
    cells, truth = PinMinutes(Rules()), SliceCells(Rules())
    cells.add(judged(chunk), np.arange(len(chunk)))
    for each in chunk:
        truth.add(each.minute, each.pin, each.user, each.surface, each.platform)
    assert taken(cells) == truth.values


@pytest.mark.parametrize("chunk", [97, 1_000, 100_000])
def test_of_one_user_and_pin_the_first_records_of_a_slice_are_trusted(chunk: int) -> None:
    """C30: by offset, whatever the chunks are, and whatever is flushed between; in all cells of the slice together."""
    rng = np.random.default_rng(5)
    log = [
        Counted(int(minute), int(pin), int(user), "home" if minute else "search")
        for minute, pin, user in zip(
            rng.integers(0, 3, 4_000), rng.integers(0, 20, 4_000), rng.integers(0, 50, 4_000) ** 2, strict=True
        )
    ]
    cells, truth, found = (
        PinMinutes(Rules(trusted_cap=3)),
        SliceCells(Rules(trusted_cap=3)),
        dict[Key, tuple[int, int]](),
    )
    for start in range(0, len(log), chunk):
        part = log[start : start + chunk]
        cells.add(judged(part), np.arange(len(part)))
        if start % 5 == 0:
            found |= taken(cells)
            cells.mark_flushed()
    for each in log:
        truth.add(each.minute, each.pin, each.user, each.surface, each.platform)
    assert found | taken(cells) == truth.values
    assert sum(trusted for _, trusted in truth.values.values()) < 4_000
