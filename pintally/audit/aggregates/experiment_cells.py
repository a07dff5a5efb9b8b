"""Counted records an experiment, arm, action, hour and bucket of users (C32)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.arms import arms_of, buckets
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding
from pintally.audit.labels import DIGEST, DIGEST_BYTES, DIGEST_SQL, digest
from pintally.audit.rules import HOUR_MS
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
        counted = arms_of(counts.assigned, counts.events.experiments, counts.rules.experiments)
        at = counted.records
        digests = [np.array([digest(pair[n]) for pair in counted.pairs], DIGEST) for n in (0, 1)]
        by_digest = sorted(range(len(counted.pairs)), key=lambda pair: tuple(map(digest, counted.pairs[pair])))
        rank = np.empty(len(by_digest), np.int64)
        rank[by_digest] = np.arange(len(by_digest))  # so that cells ascend as rows do
        hours = (counts.events.occurred_at[at] // HOUR_MS * (HOUR_MS // 1000)).astype(np.uint32)
        columns = hours, rank[counted.arms], buckets(counts.events.user_id[at])
        cells = Cells.of(columns, counts.offsets[at], counts.trusted[at])
        hours, ranks, own = cells.keys
        pairs = np.array(by_digest, np.int64)[ranks]
        action = np.full(len(cells), counts.action, np.uint8)
        keys = (action, hours, digests[0][pairs], digests[1][pairs], own)
        return replace(cells, keys=keys, arms=counted)

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
