"""Cells of counted records by hour, arm of an experiment, and a number of the user (C32, C36)."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.arms import arms_of
from pintally.audit.cells import Cells, Counts
from pintally.audit.labels import DIGEST, digest
from pintally.audit.rules import HOUR_MS


def cells_by_arm(counts: Counts, users: NDArray[Any], trusted: NDArray[np.bool_]) -> Cells:
    """The cells of the counted records of a slice: a record is in one of each of its arms.

    `users` has a number for each record. The keys are action, hour, the digests of experiment and arm, and that number.
    """
    counted = arms_of(counts.assigned, counts.events.experiments, counts.rules.experiments)
    at = counted.records
    digests = [np.array([digest(pair[n]) for pair in counted.pairs], DIGEST) for n in (0, 1)]
    by_digest = sorted(range(len(counted.pairs)), key=lambda pair: tuple(map(digest, counted.pairs[pair])))
    rank = np.empty(len(by_digest), np.int64)
    rank[by_digest] = np.arange(len(by_digest))  # so that cells ascend as rows do
    hours = (counts.events.occurred_at[at] // HOUR_MS * (HOUR_MS // 1000)).astype(np.uint32)
    cells = Cells.of((hours, rank[counted.arms], users[at]), counts.offsets[at], trusted[at])
    hours, ranks, own = cells.keys
    pairs = np.array(by_digest, np.int64)[ranks]
    action = np.full(len(cells), counts.action, np.uint8)
    return replace(cells, keys=(action, hours, digests[0][pairs], digests[1][pairs], own), arms=counted)
