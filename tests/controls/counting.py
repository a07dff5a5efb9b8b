"""Controls of the fold: C1, C2, C4, C29 to C32, and C36."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.experiments import EVERY
from pintally.schemas.label_column import UNKNOWN
from pintally.streams.counting import fold
from pintally.streams.counting.aggregates import ArmMembers, ExperimentCells, PinMembers, PinMinutes, SliceVersion
from pintally.streams.counting.aggregates.member_table import MemberTable
from pintally.streams.counting.aggregates.slice_arms import IGNORED, SliceArms
from pintally.streams.counting.aggregates.slice_labels import SliceLabels
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import Piece, run_stream_time
from pintally.streams.worker.backpressure import Backpressure
from tests.controls.switch import control, replaced


@control
def no_chain_check() -> Iterator[None]:
    """C4: a chunk is folded wherever it starts."""
    with replaced((SourceFold, "_check_place", lambda *_: None), (SourceFold, "_check_base", lambda *_: None)):
        yield


@control
def no_seek_for_a_missing_tail() -> Iterator[None]:
    """C4: only the next chunk tells of one that was dropped."""

    async def seek_stuck(_: Backpressure) -> None: ...

    with replaced((Backpressure, "seek_stuck", seek_stuck)):
        yield


@control
def stream_time_moves_by_chunk() -> Iterator[None]:
    """C1: all records of a chunk see the clock that stands after its last one."""

    def run_at_once(before: int, timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
        stream_times = run_stream_time(before, timestamps)
        return np.full_like(stream_times, stream_times[-1]) if len(stream_times) else stream_times

    with replaced((fold, "run_stream_time", run_at_once)):
        yield


class CountedIds:
    """As SeenIds, but an id that repeats one is not seen anew."""

    nbytes = 0

    def __init__(self) -> None:
        self.seen: dict[tuple[int, ...], tuple[int, int]] = {}

    def register(self, ids: NDArray[np.uint64], slice_block: int, bucket: int) -> NDArray[np.bool_]:
        """Which of the ids repeat an earlier one."""
        return np.array([self._one(tuple(id_), slice_block, bucket) for id_ in ids.tolist()], np.bool_)

    def _one(self, id_: tuple[int, ...], slice_block: int, bucket: int) -> bool:
        seen_block, seen_bucket = self.seen.get(id_, (-9, -9))
        if slice_block - seen_block < 2 and bucket - seen_bucket < 2:
            return True
        self.seen[id_] = slice_block, bucket
        return False


@control
def only_counted_ids_register() -> Iterator[None]:
    """C2: what is late or a duplicate itself leaves no id behind."""
    register = SourceFold._register

    def without_late(self: SourceFold, judged: Judged, piece: Piece) -> Any:
        return register(self, replace(judged, invalid=judged.invalid | judged.late), piece)

    with replaced((fold, "SeenIds", CountedIds), (SourceFold, "_register", without_late)):
        yield


@control
def labels_without_a_bound() -> Iterator[None]:
    """C29: every label counts under its own name."""

    def number(self: SliceLabels, number: int) -> int:
        label = self._decoder[number] if self._decoder else None
        return self._numbers.setdefault(label or UNKNOWN, len(self._numbers))

    with replaced((SliceLabels, "_number", number)):
        yield


@control
def labels_numbered_by_chunk() -> Iterator[None]:
    """C29: the numbers of labels, and which are the first ones, begin anew with each chunk."""
    add = PinMinutes.add

    def add_anew(self: PinMinutes, judged: Judged, at: NDArray[np.intp]) -> None:
        self._surfaces, self._platforms = SliceLabels(), SliceLabels()
        add(self, judged, at)

    with replaced((PinMinutes, "add", add_anew)):
        yield


@control
def trusted_by_chunk() -> Iterator[None]:
    """C30: the first records of a user in each chunk are trusted."""
    add = PinMinutes.add

    def add_anew(self: PinMinutes, judged: Judged, at: NDArray[np.intp]) -> None:
        self._users = None
        add(self, judged, at)

    with replaced((PinMinutes, "add", add_anew)):
        yield


@control
def trusted_by_flush() -> Iterator[None]:
    """C30: the first records of a user after each flush are trusted."""
    take_dirty = PinMinutes.take_dirty

    def take_and_forget(self: PinMinutes, at: SliceVersion) -> PinMinuteRows:
        taken = take_dirty(self, at)
        self._users = None
        return taken

    with replaced((PinMinutes, "take_dirty", take_and_forget)):
        yield


@control
def members_by_chunk() -> Iterator[None]:
    """C31: the members of a slice, and their counts, begin anew with each chunk."""
    add = PinMembers.add

    def add_anew(self: PinMembers, judged: Judged, at: NDArray[np.intp]) -> None:
        self._table = MemberTable()
        add(self, judged, at)

    with replaced((PinMembers, "add", add_anew)):
        yield


@control
def members_by_flush() -> Iterator[None]:
    """C31: the members of a slice, and their counts, begin anew after each flush."""
    mark_flushed = PinMembers.mark_flushed

    def forget(self: PinMembers) -> None:
        mark_flushed(self)
        self._table = MemberTable()

    with replaced((PinMembers, "mark_flushed", forget)):
        yield


@control
def arms_without_a_bound() -> Iterator[None]:
    """C32: every pair of experiment and arm counts under its own names."""

    def number(self: SliceArms, names: tuple[str, str]) -> int:
        is_asked = EVERY in self._asked or names[0] in self._asked
        return self._numbers.setdefault(names, len(self._numbers)) if is_asked else IGNORED

    with replaced((SliceArms, "_number", number)):
        yield


@control
def arms_numbered_by_chunk() -> Iterator[None]:
    """C32: the numbers of arms, and which are the first ones, begin anew with each chunk."""
    add = ExperimentCells.add

    def add_anew(self: ExperimentCells, judged: Judged, at: NDArray[np.intp]) -> None:
        self._arms = SliceArms(tuple(self._arms._asked))
        add(self, judged, at)

    with replaced((ExperimentCells, "add", add_anew)):
        yield


@control
def arm_members_by_chunk() -> Iterator[None]:
    """C36: the members of arms of a slice, and their counts, begin anew with each chunk."""
    add = ArmMembers.add

    def add_anew(self: ArmMembers, judged: Judged, at: NDArray[np.intp]) -> None:
        self._table = MemberTable()
        add(self, judged, at)

    with replaced((ArmMembers, "add", add_anew)):
        yield


@control
def arms_of_members_numbered_by_chunk() -> Iterator[None]:
    """C36: the numbers of arms, of which members are, begin anew with each chunk."""
    add = ArmMembers.add

    def add_anew(self: ArmMembers, judged: Judged, at: NDArray[np.intp]) -> None:
        self._arms = SliceArms(tuple(self._arms._asked))
        add(self, judged, at)

    with replaced((ArmMembers, "add", add_anew)):
        yield
