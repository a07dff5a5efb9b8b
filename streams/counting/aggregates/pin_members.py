"""Members: which users acted on a pin in an hour, by the keyed hash of the user (C31).

A member is an hour, a pin, a surface and the hash of a user, once a slice, with the number of their counted records and
of the trusted ones among them. Nearly every record is a member of its own, so members are kept as they came: a flush
takes what is new, and what has another count.
"""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import CellRows, PinMemberRows
from pintally.schemas.label_column import LabelColumn
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.aggregates import marks
from pintally.streams.counting.aggregates.aggregate import SliceVersion
from pintally.streams.counting.aggregates.cell_loops import LABEL_BITS
from pintally.streams.counting.aggregates.member_table import PIN, PLACE, USER, MemberTable
from pintally.streams.counting.aggregates.slice_labels import NEW, SliceLabels
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.user_hash import words_of_key

MINUTES: Final = 60  # of an hour
LABEL: Final = np.uint64((1 << LABEL_BITS) - 1)
HOUR_SHIFT: Final = LABEL_BITS  # of a place: hour since 1970, number of the surface


class PinMembers:
    """The members of one slice, and which of them are not flushed; see Aggregate."""

    rows: ClassVar[type[CellRows]] = PinMemberRows

    def __init__(self, rules: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:
        self.sum = check_sum
        self.pending = 0
        self._breakdown = rules.breakdown
        self._key_id, self._key = int(rules.user_key, 16), words_of_key(keys[rules.user_key])
        self._surfaces = SliceLabels()
        self._table = MemberTable()

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:
        """If rules name the key that users are hashed with."""
        return bool(rules.user_key)

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return self._table.nbytes

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk."""
        if not len(at):
            return
        decoded = judged.decoded
        self._table.add(decoded.pin_id, decoded.user_id, judged.trusted, at, self._places(judged, at), self._key)
        self.sum += len(at)
        self.pending += len(at)  # a member that gets another record may be counted twice

    def take_dirty(self, at: SliceVersion) -> PinMemberRows:
        """Take the dirty members, which are in flight from now on."""
        dirty = marks.take(self._table.marks)
        self.pending, n = int(np.count_nonzero(self._table.marks)), len(dirty)
        members, counts, trusted = self._table.at(dirty)
        places = members[:, PLACE]
        columns: dict[str, Any] = at.columns(n)
        return PinMemberRows(
            **columns,
            action=np.full(n, at.action, np.uint8),
            hour=(places >> np.uint64(HOUR_SHIFT)).astype(np.uint32) * np.uint32(60 * MINUTES),
            pin_id=np.ascontiguousarray(members[:, PIN]),
            surface=LabelColumn((places & LABEL).astype(np.uint32), self._surfaces.labels),
            user_key=np.full(n, self._key_id, np.uint32),
            user_hash=np.ascontiguousarray(members[:, USER]),
            events=counts.astype(np.uint64),
            trusted=trusted.astype(np.uint64),
        )

    def mark_flushed(self) -> None:
        """The sink has what was in flight. Members that changed meanwhile stay dirty."""
        self.pending = marks.settle(self._table.marks)

    def merge_back(self) -> None:
        """The flush failed: what was in flight is dirty again. Its counts are the newest, because they never left."""
        marks.take_back(self._table.marks)

    def end(self) -> None:
        """The slice has ended: give back what only adding needs."""
        self._table.end()
        self._surfaces.end()

    def _places(self, judged: Judged, at: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Hour and surface of the records at these indexes of a chunk, as one number each."""
        places: NDArray[np.uint64] = (judged.minutes[at] // MINUTES << HOUR_SHIFT).astype(np.uint64)
        if self._breakdown:  # else number 0, `unknown`
            self._surfaces.follow(judged.decoded.labels)
            places |= self._numbers(judged.decoded.surface[at])
        return places

    def _numbers(self, surfaces: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """The slice's numbers of surfaces that the decoder numbered."""
        known = self._surfaces.known
        if int(surfaces.max()) >= len(known) or (known[surfaces] == NEW).any():
            self._surfaces.learn(surfaces)
        return self._surfaces.known[surfaces]
