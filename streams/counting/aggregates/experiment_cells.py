"""Experiments: how many counted records of a slice each arm has, by hour and bucket of users (C32).

A cell is a place: hour, number of the pair of experiment and arm, bucket. There are few, however many records a slice
has, so they stay in the order in which they came, and are found through an open-addressing table.
"""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import CellRows, ExperimentRows
from pintally.schemas.events import MAX_EXPERIMENTS
from pintally.schemas.experiments import BUCKETS
from pintally.schemas.rules import HOUR_MS, Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.aggregates import marks
from pintally.streams.counting.aggregates.aggregate import SliceVersion
from pintally.streams.counting.aggregates.experiment_loops import (
    ARM_BITS,
    BUCKET_BITS,
    CELLS,
    HOUR_SHIFT,
    PENDING,
    SUM,
    Arms,
    Cells,
    count_arms,
)
from pintally.streams.counting.aggregates.slice_arms import SliceArms
from pintally.streams.counting.outcomes import Judged

SMALLEST: Final = 64  # cells that there is room for at first; at least the arms of one record


class ExperimentCells:
    """The experiment cells of one slice, and which of them are not flushed; see Aggregate."""

    rows: ClassVar[type[CellRows]] = ExperimentRows

    def __init__(self, rules: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:  # noqa: ARG002
        self._arms = SliceArms(rules.experiments)
        self._cells = Cells.of(SMALLEST)
        self._state = np.array([0, 0, check_sum], np.int64)
        self._numbers = np.empty(MAX_EXPERIMENTS, np.uint32)

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:
        """Whether the rules name an experiment."""
        return bool(rules.experiments)

    @property
    def sum(self) -> int:
        """Over all counts: a record counts once for each of its arms."""
        return int(self._state[SUM])

    @property
    def pending(self) -> int:
        """Cells that are dirty or in flight."""
        return int(self._state[PENDING])

    @property
    def nbytes(self) -> int:
        """Bytes of the columns and slots; 33 a cell that there is room for."""
        return sum(column.nbytes for column in self._cells)

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk."""
        decoded, done = judged.decoded, 0
        experiments = decoded.experiments
        if not len(experiments.pairs):
            return
        self._arms.follow(decoded.labels)
        arms = Arms(decoded.occurred_at, decoded.user_id, judged.trusted, experiments.offsets, experiments.pairs)
        while True:
            done = count_arms(at, done, arms, self._arms.known, self._cells, self._state, self._numbers)
            if done == len(at):
                return
            if not self._make_room():
                records, pairs = experiments.of(at[done:])
                self._arms.learn(pairs, records)

    def take_dirty(self, at: SliceVersion) -> ExperimentRows:
        """Take the dirty cells, which are in flight from now on."""
        cells = self._cells
        dirty = marks.take(cells.marks)
        places, columns = cells.places[dirty], dict[str, Any](at.columns(len(dirty)))
        pairs = places >> np.uint64(BUCKET_BITS) & np.uint64((1 << ARM_BITS) - 1)
        experiments, arms = self._arms.labels
        return ExperimentRows(
            **columns,
            action=np.full(len(dirty), at.action, np.uint8),
            hour=(places >> np.uint64(HOUR_SHIFT)).astype(np.uint32) * np.uint32(HOUR_MS // 1000),
            experiment=experiments[pairs],
            arm=arms[pairs],
            bucket=(places & np.uint64(BUCKETS - 1)).astype(np.uint8),
            events=cells.counts[dirty].astype(np.uint64),
            trusted=cells.trusted[dirty].astype(np.uint64),
        )

    def mark_flushed(self) -> None:
        """The sink has what was in flight. Cells that changed meanwhile stay dirty."""
        self._state[PENDING] = marks.settle(self._cells.marks)

    def merge_back(self) -> None:
        """The flush failed: what was in flight is dirty again. Its counts are the newest, because they never left."""
        marks.take_back(self._cells.marks)

    def end(self) -> None:
        """The slice has ended: give back the tables that only adding needs."""
        self._arms.end()
        self._cells = self._cells.first(int(self._state[CELLS]))

    def _make_room(self) -> bool:
        """Make room for the arms of one more record, if it is short; returns whether it was."""
        n, old = int(self._state[CELLS]), self._cells
        is_short = n + MAX_EXPERIMENTS > len(old.places)
        if is_short:
            self._cells = old.with_room(4 * len(old.places), n)
        return is_short
