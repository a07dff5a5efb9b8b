"""Members of arms: which users acted in an arm of an experiment in an hour, by the keyed hash of the user (C36).

A member is an hour, an arm and the hash of a user, once a slice, with the number of their counted records: as in
`pin_members`, with the slice's number of the arm in the place of the surface, and without a pin.
"""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import ArmMemberRows, CellRows
from pintally.schemas.rules import HOUR_MS, Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.aggregates import marks
from pintally.streams.counting.aggregates.aggregate import SliceVersion
from pintally.streams.counting.aggregates.member_table import PLACE, USER, MemberTable
from pintally.streams.counting.aggregates.slice_arms import IGNORED, SliceArms, are_known, numbers_of
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.user_hash import words_of_key

HOUR_SHIFT: Final = 32  # of a place: hour since 1970, number of the pair of experiment and arm
_NUMBER: Final = np.uint64((1 << HOUR_SHIFT) - 1)
_SHIFT: Final = np.uint64(HOUR_SHIFT)


class ArmMembers:
    """The members of arms of one slice, and which of them are not flushed; see Aggregate."""

    rows: ClassVar[type[CellRows]] = ArmMemberRows

    def __init__(self, rules: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:
        self.sum = check_sum
        self.pending = 0
        self._key_id, self._key = int(rules.user_key, 16), words_of_key(keys[rules.user_key])
        self._arms = SliceArms(rules.experiments)
        self._table = MemberTable()

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:
        """If rules name an experiment, and the key that users are hashed with."""
        return bool(rules.experiments and rules.user_key)

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return self._table.nbytes

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk: one member for each of their arms."""
        decoded = judged.decoded
        records, pairs = decoded.experiments.of(at)
        if not len(pairs):
            return
        self._arms.follow(decoded.labels)
        if not are_known(self._arms.known, pairs).all():
            self._arms.learn(pairs, records)
        numbers = numbers_of(self._arms.known, pairs)
        asked = numbers != IGNORED
        records, numbers = records[asked], numbers[asked]
        places = (decoded.occurred_at[records] // HOUR_MS << HOUR_SHIFT).astype(np.uint64) | numbers
        self._table.add(np.zeros_like(decoded.user_id), decoded.user_id, judged.trusted, records, places, self._key)
        self.sum += len(records)
        self.pending += len(records)  # a member that gets another record may be counted twice

    def take_dirty(self, at: SliceVersion) -> ArmMemberRows:
        """Take the dirty members, which are in flight from now on."""
        dirty = marks.take(self._table.marks)
        self.pending, n = int(np.count_nonzero(self._table.marks)), len(dirty)
        members, counts, _ = self._table.at(dirty)
        places, columns = members[:, PLACE], dict[str, Any](at.columns(n))
        experiments, arms = self._arms.labels
        return ArmMemberRows(
            **columns,
            action=np.full(n, at.action, np.uint8),
            hour=(places >> _SHIFT).astype(np.uint32) * np.uint32(HOUR_MS // 1000),
            experiment=experiments[places & _NUMBER],
            arm=arms[places & _NUMBER],
            user_key=np.full(n, self._key_id, np.uint32),
            user_hash=np.ascontiguousarray(members[:, USER]),
            events=counts.astype(np.uint64),
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
        self._arms.end()
