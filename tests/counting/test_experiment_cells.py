"""C32: the arms of a slice, what they count, and which of them the sink does not know."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.experiments import BUCKETS, bucket_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.aggregates import ExperimentCells, PinMinutes, SliceVersion, counted_by, slice_arms
from pintally.streams.counting.aggregates.slice_arms import SliceArms
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import SliceId
from tests.support.cells import Counted, judged
from tests.support.reference import SliceCells

AT = SliceVersion(Source("engagement.save.v1", UUID(int=1), 0), Action.SAVE, SliceId(0, 0), 0, 1)
COLUMNS = ("hour", "experiment", "arm", "bucket", "events", "trusted")
Key = tuple[int, str, str, int]

NAMES = st.sampled_from(["feed", "checkout", "other", "a\\n'\"\x00", "\u00e9"])
ARMS = st.dictionaries(NAMES, NAMES, max_size=4).map(lambda arms: tuple(arms.items()))
MINUTES = st.sampled_from([0, 59, 60, 28_333_340, 2**32 // 60])
USERS = st.sampled_from([0, 1, 7, 2**64 - 1])
RECORDS = st.lists(st.builds(Counted, MINUTES, st.just(1), USERS, st.none(), st.none(), ARMS), max_size=20)
OPS = st.lists(st.one_of(RECORDS, st.sampled_from(["take", "flushed", "back", "new table"])), max_size=25)
RULES = st.builds(
    Rules,
    experiments=st.sampled_from([("*",), ("feed",), ("checkout", "feed"), ("nobody",)]),
    trusted_cap=st.sampled_from([0, 1, 2]),
)


@dataclass
class Truth:
    """C32 in dicts, record by record."""

    rules: Rules
    named: int
    pins: SliceCells = field(init=False)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    values: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pins = SliceCells(self.rules)

    def add(self, record: Counted) -> Iterator[Key]:
        _, trusted = self.pins.place(record.minute, record.pin, record.user, None, None)
        for pair in sorted(record.experiments):
            if self.rules.experiments == ("*",) or pair[0] in self.rules.experiments:
                key = record.minute // 60 * 3600, *self._name(pair), bucket_of(record.user)
                events, before = self.values.get(key, (0, 0))
                self.values[key] = events + 1, before + trusted
                yield key

    def _name(self, pair: tuple[str, str]) -> tuple[str, str]:
        if pair not in (("other", "other"), *self.pairs):
            if len(self.pairs) == self.named:
                return "other", "other"
            self.pairs.append(pair)
        return pair


class Slice:
    """Both aggregates of one slice, as SliceState adds to them."""

    def __init__(self, rules: Rules) -> None:
        self.pins, self.arms = PinMinutes(rules), ExperimentCells(rules)

    def add(self, chunk: Judged) -> None:
        at = np.arange(len(chunk.late))
        for each in (self.pins, self.arms):
            each.add(chunk, at)

    def taken(self) -> dict[Key, tuple[int, int]]:
        found = self.arms.take_dirty(AT).tuples(COLUMNS)
        values = {tuple(key): (events, trusted) for *key, events, trusted in found}
        assert len(values) == len(found)
        return values


def replay(ops: Sequence[list[Counted] | str], rules: Rules, named: int) -> None:
    """Every take says all that changed since it was last known to the sink, with absolute counts."""
    counted, truth, labels = Slice(rules), Truth(rules, named), Labels()
    dirty: set[Key] = set()
    in_flight: set[Key] | None = None
    for op in [*ops, "flushed", "take"]:
        if isinstance(op, list):
            counted.add(judged(op, labels))
            dirty |= {key for each in op for key in truth.add(each)}
        elif op == "new table":
            labels = Labels()
            labels.number("of another table")
        elif op == "take" and in_flight is None:
            assert counted.taken() == {key: truth.values[key] for key in dirty}
            dirty, in_flight = set(), dirty
        elif op == "flushed" and in_flight is not None:
            counted.arms.mark_flushed()
            in_flight = None
        elif op == "back" and in_flight is not None:
            counted.arms.merge_back()
            dirty, in_flight = dirty | in_flight, None
        assert counted.arms.pending == len(dirty | (in_flight or set()))
        assert counted.arms.sum == sum(events for events, _ in truth.values.values())


@given(OPS, RULES, st.sampled_from([1, 3, 256]))
@settings(deadline=None)
def test_what_is_taken_is_all_that_changed_since_the_sink_last_knew(
    ops: list[list[Counted] | str], rules: Rules, named: int
) -> None:
    """C6 and C7 for experiment cells; `named` is the bound on arms, for slices that are too short to reach it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slice_arms, "MAX_SLICE_ARMS", named)
        patch.setattr(slice_arms, "MOST", 2)
        replay(ops, rules, named)


def numbered_by_chunk(patch: pytest.MonkeyPatch) -> None:
    add = ExperimentCells.add

    def add_anew(self: ExperimentCells, chunk: Judged, at: NDArray[np.intp]) -> None:
        self._arms = SliceArms(["*"])
        add(self, chunk, at)

    patch.setattr(ExperimentCells, "add", add_anew)


def cleared_by_an_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ExperimentCells, "mark_flushed", lambda self: self._cells.marks.fill(0))


CONTROLS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "arms without a bound": lambda patch: patch.setattr(slice_arms, "MAX_SLICE_ARMS", 256),
    "arms numbered by chunk": numbered_by_chunk,
    "every record trusted": lambda patch: patch.setattr(PinMinutes, "add", lambda *_: None),
    "every experiment counted": lambda patch: patch.setattr(slice_arms, "EVERY", "feed"),
    "what changed is cleared by the answer": cleared_by_an_answer,
}


@pytest.mark.parametrize("control", CONTROLS)
def test_without_a_protection_counts_are_wrong(control: str) -> None:
    first, second = [Counted(0, 1, 1, None, None, (("feed", arm), ("b", "c"))) for arm in "xy"]
    ops: list[list[Counted] | str] = [[first], "take", [second, first], "flushed", "take"]
    rules = Rules(experiments=("feed",), trusted_cap=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slice_arms, "MAX_SLICE_ARMS", 1)
        replay(ops, rules, 1)
        CONTROLS[control](patch)
        with pytest.raises(AssertionError):
            replay(ops, rules, 1)


def test_the_first_256_arms_of_a_slice_count_under_their_own_names() -> None:
    """By offset, whatever the chunks are; the others are `other` of `other`, which itself takes no room."""
    log = [Counted(0, 1, 0, None, None, (("other", "other"), (f"e{n % 10}", f"arm {n}"))) for n in range(300)]
    counted = Slice(Rules(experiments=("*",)))
    for at in range(0, 300, 7):
        counted.add(judged(log[at : at + 7]))
    found = {key[1:3]: events for key, (events, _) in counted.taken().items()}
    assert {pair for pair in found if pair != ("other", "other")} == {(f"e{n % 10}", f"arm {n}") for n in range(256)}
    assert found["other", "other"] == 300 + 300 - 256


def test_many_arms_and_users_find_room() -> None:
    """More pairs than a table of the decoder's has room for, and as many cells as a slice can have in an hour."""
    rng = np.random.default_rng(7)
    log = [
        Counted(int(minute), 1, int(user), None, None, ((f"e{n % 64}", f"a{n % 5_000}"), ("feed", "b")))
        for n, (minute, user) in enumerate(rng.integers(0, [[120, 2**62]], (9_000, 2)))
    ]
    rules = Rules(experiments=("*",), trusted_cap=0)
    counted, truth = Slice(rules), Truth(rules, 256)
    for at in range(0, len(log), 4_000):
        counted.add(judged(log[at : at + 4_000]))
    counted.arms.end()
    for each in log:
        list(truth.add(each))
    assert counted.taken() == truth.values
    assert len({bucket for *_, bucket in truth.values}) == BUCKETS


def test_rules_that_name_no_experiment_count_none() -> None:
    assert counted_by(Rules()) == [PinMinutes]
    assert counted_by(Rules(experiments=("feed",))) == [PinMinutes, ExperimentCells]


def test_users_are_spread_evenly_over_buckets() -> None:
    """Users whose ids follow each other, as they do in most apps: a chi-square of 255 degrees of freedom."""
    found = np.bincount([bucket_of(user) for user in range(100_000)], minlength=BUCKETS)
    expected = 100_000 / BUCKETS
    assert ((found - expected) ** 2 / expected).sum() < 330  # 1 in 1,000
