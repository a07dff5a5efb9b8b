"""Each protection, switched off, turns the simulation red: it is needed, and the simulation would see it missing."""

import pytest

from tests.simulation.controls import CONTROLS
from tests.simulation.schedule import Schedule

BUDGET = 1_000


def first_red(name: str) -> int | None:
    """The first seed that fails without this protection."""
    with CONTROLS[name]():
        for seed in range(BUDGET):
            try:
                Schedule(seed).run()
            except Exception:  # noqa: BLE001  whatever it is: it is seen
                return seed
    return None


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_some_schedule_is_not_exact(name: str) -> None:
    assert first_red(name) is not None, f"{BUDGET} schedules are exact without it"
    Schedule(0).run()  # and what was switched off is on again
