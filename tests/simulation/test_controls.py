"""Each protection, switched off, turns the simulation red: it is needed, and the simulation would see it missing."""

import pytest

from tests.simulation.__main__ import first_failure
from tests.simulation.controls import CONTROLS, schedules

BUDGET = 1_000
# The first red seed of controls without which many schedules are exact: `python -m tests.simulation --controls`.
RED = {
    "no-seek-for-a-missing-tail": 65,
    "trusted-by-chunk": 23,
    "trusted-by-flush": 135,
    "members-by-flush": 175,
    "labels-without-a-bound": 18,
    "not-merged-back-after-a-rebalance": 45,
    "merged-back-into-another": 26,
    "base-behind-the-last-row": 22,
    "ids-not-collected": 46,
    "ids-of-the-previous-slice-only": 583,
    "superseded-rows-read": 79,
    "only-the-first-slice-is-superseded": 16,
    "sources-without-news-not-read-back": 110,
    "dead-letters-not-awaited": 26,
    "connection-comes-back-by-itself": 312,
    "epochs-not-claimed": 422,
    "sleepers-come-back": 561,
    "read-back-of-shard-0-alone": 21,
    "shards-in-another-order": 71,
    "no-quorum": 378,
    "deduplication-on": 78,
    "seal-numbers-without-a-barrier": 51,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_some_schedule_is_not_exact(name: str) -> None:
    first = RED.get(name, 0)
    red = first_failure(range(first, first + BUDGET), name)
    assert red is not None, f"{BUDGET} schedules are exact without it"
    for schedule in schedules(red, name):
        schedule.run()  # with what was switched off it is exact
