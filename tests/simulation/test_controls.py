"""Each protection, switched off, turns the simulation red: it is needed, and the simulation would see it missing."""

import pytest

from tests.simulation.__main__ import first_failure
from tests.simulation.controls import CONTROLS

BUDGET = 1_000
# Hundreds of seeds before these are green.
LATER = {
    "sleepers-come-back": 340,
    "ids-of-the-previous-slice-only": 260,
    "members-by-flush": 170,
    "seal-numbers-without-a-barrier": 50,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_some_schedule_is_not_exact(name: str) -> None:
    first = LATER.get(name, 0)
    assert first_failure(range(first, first + BUDGET), name) is not None, f"{BUDGET} schedules are exact without it"
    assert first_failure(range(5), None) is None, "what was switched off is not on again"
