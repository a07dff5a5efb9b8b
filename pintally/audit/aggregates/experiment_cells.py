"""Counted records an experiment, arm, action, hour and bucket of users (C32)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.aggregates.by_arm import cells_by_arm
from pintally.audit.arms import buckets
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding
from pintally.audit.labels import DIGEST, DIGEST_BYTES, DIGEST_SQL
from pintally.audit.words import utc

HOUR_BITS = 32
BUCKET_BITS = 8
LABEL_BITS = 8 * DIGEST_BYTES


class Key(NamedTuple):
    """What names a cell within its slice."""

    action: int
    hour: int  # seconds since 1970
    experiment: bytes  # digest
    arm: bytes  # digest
    bucket: int


class ExperimentCells:
    """The table `experiment_cells`. A key is action, hour, the digests of experiment and arm, and bucket."""

    table = "experiment_cells"
    value = "events"
    trusted = "trusted"
    columns = f"action, toUInt32(hour), {DIGEST_SQL.format('experiment')}, {DIGEST_SQL.format('arm')}, bucket"
    layout = np.dtype([
        *NAME, ("action", "u1"), ("hour", "<u4"), ("experiment", DIGEST), ("arm", DIGEST), ("bucket", "u1"), *COUNT
    ])  # fmt: skip

    def cells_of(self, counts: Counts) -> Cells:
        """The cells of the counted records of a slice: a record is in one of each of its arms."""
        return cells_by_arm(counts, buckets(counts.events.user_id), counts.trusted)

    def number(self, *key: Any) -> int:
        """A key as one number."""
        action, hour, experiment, arm, bucket = key
        number = int(action) << HOUR_BITS | int(hour)
        for label in (experiment, arm):
            number = number << LABEL_BITS | int.from_bytes(label, "big")
        return number << BUCKET_BITS | int(bucket)

    def key(self, number: int) -> Key:
        """The key that a number stands for."""
        number, bucket = divmod(number, 1 << BUCKET_BITS)
        number, arm = divmod(number, 1 << LABEL_BITS)
        number, experiment = divmod(number, 1 << LABEL_BITS)
        action, hour = divmod(number, 1 << HOUR_BITS)
        return Key(action, hour, experiment.to_bytes(DIGEST_BYTES, "big"), arm.to_bytes(DIGEST_BYTES, "big"), bucket)

    def start_of(self, key: int) -> int:
        """Start of the hour, in seconds since 1970."""
        return self.key(key).hour

    def describe(self, about: Finding, key: int, name: Callable[[bytes], str]) -> Finding:
        """The finding, with the cell that it is about."""
        action, hour, experiment, arm, bucket = self.key(key)
        about = replace(about, table=self.table, experiment=name(experiment), arm=name(arm), bucket=bucket)
        return replace(about, action=ACTIONS.get(action, str(action)), hour=utc(hour))
