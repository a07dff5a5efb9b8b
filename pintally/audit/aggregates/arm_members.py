"""Counted records a user, experiment, arm, hour and action; the user by a keyed hash (C36).

None where rules name no experiment, or no key.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.aggregates.by_arm import cells_by_arm
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding
from pintally.audit.labels import DIGEST, DIGEST_BYTES, DIGEST_SQL
from pintally.audit.user_hash import hashes, named
from pintally.audit.words import utc

_KEY = ("action", "hour", "experiment", "arm", "user_key", "user_hash")
_KEY_BITS, _WORD_BITS, _LABEL_BITS = 32, 64, 8 * DIGEST_BYTES


class ArmMembers:
    """The table `arm_members`. A key is action, hour, the digests of experiment and arm, key of the hash, and hash."""

    table = "arm_members"
    value = "events"
    trusted = "events"
    columns = (
        f"action, toUInt32(hour), {DIGEST_SQL.format('experiment')}, {DIGEST_SQL.format('arm')}, user_key, user_hash"
    )
    layout = np.dtype([
        *NAME, ("action", "u1"), ("hour", "<u4"), ("experiment", DIGEST), ("arm", DIGEST), ("user_key", "<u4"),
        ("user_hash", "<u8"), *COUNT
    ])  # fmt: skip

    def cells_of(self, counts: Counts) -> Cells:
        """The cells of the counted records of a slice. Raises CannotTell if the key is missing."""
        key_id = counts.rules.user_key
        if not (key_id and counts.rules.experiments):
            none = np.zeros(0, np.bool_)
            return Cells.of(tuple(np.empty(0, self.layout[name]) for name in _KEY), counts.offsets[:0], none)
        every = np.ones(len(counts.offsets), np.bool_)
        cells = cells_by_arm(counts, hashes(named(counts.keys, key_id), counts.events.user_id), every)
        *before, hashed = cells.keys
        return replace(cells, keys=(*before, np.full(len(cells), int(key_id, 16), np.uint32), hashed))

    def number(self, *key: Any) -> int:
        """A key as one number."""
        action, hour, experiment, arm, user_key, hashed = key
        number = int(action) << 32 | int(hour)
        for label in (experiment, arm):
            number = number << _LABEL_BITS | int.from_bytes(label, "big")
        return (number << _KEY_BITS | int(user_key)) << _WORD_BITS | int(hashed)

    def start_of(self, key: int) -> int:
        """Start of the hour, in seconds since 1970."""
        return key >> 2 * _LABEL_BITS + _KEY_BITS + _WORD_BITS & 0xFFFFFFFF

    def describe(self, about: Finding, key: int, name: Callable[[bytes], str]) -> Finding:
        """The finding, with the arm and hour that it is about; whose row it is, it does not say."""
        number, arm = divmod(key >> _KEY_BITS + _WORD_BITS, 1 << _LABEL_BITS)
        number, experiment = divmod(number, 1 << _LABEL_BITS)
        action, hour = divmod(number, 1 << 32)
        labels = [name(label.to_bytes(DIGEST_BYTES, "big")) for label in (experiment, arm)]
        about = replace(about, table=self.table, experiment=labels[0], arm=labels[1])
        return replace(about, action=ACTIONS.get(action, str(action)), hour=utc(hour))
