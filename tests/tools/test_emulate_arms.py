"""The experiment of emulated events: arms of users, and the effect that was asked for."""

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.schemas.experiments import bucket_of
from pintally.schemas.rules import MINUTE_MS, Rules
from pintally.tools.emulate.arms import arms_of
from pintally.tools.emulate.plan import Plan, PlanRefused
from pintally.tools.emulate.traffic import Traffic

ANCHOR = 1_790_000_123_456


def rate(effect: float) -> tuple[float, float]:
    """Saves for each close-up of both arms, control first."""
    traffic = Traffic(Plan(120_000, span_ms=40 * MINUTE_MS, effect=effect, bots=0), Rules(), ANCHOR)
    slabs = list(traffic.slabs())
    action = np.concatenate([slab.action for slab in slabs])
    arm = arms_of(np.concatenate([slab.user for slab in slabs]))
    rates = [
        np.sum((arm == n) & (action == Action.SAVE)) / np.sum((arm == n) & (action == Action.CLOSEUP)) for n in (1, 2)
    ]
    return float(rates[0]), float(rates[1])


def test_a_quarter_of_the_users_is_in_the_experiment_half_in_each_arm_and_in_each_bucket() -> None:
    users = np.random.default_rng(1).integers(0, 2**63, 100_000, dtype=np.uint64)
    arms = arms_of(users)
    assert np.bincount(arms) / len(users) == pytest.approx([0.75, 0.125, 0.125], abs=0.005)
    buckets = np.array([bucket_of(user) for user in users.tolist()])
    assert all(len(np.unique(buckets[arms == arm])) == 256 for arm in (1, 2))


def test_the_effect_changes_saves_of_one_arm_by_its_share() -> None:
    (control, same), (unchanged, more), (_, less) = rate(0.0), rate(0.5), rate(-0.5)
    assert same / control == pytest.approx(1, abs=0.1)
    assert unchanged == pytest.approx(control, rel=0.05)
    assert more / control == pytest.approx(1.5, abs=0.15)
    assert less / control == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("effect", [-1.1, 1.6, float("nan")])
def test_an_effect_that_cannot_be_is_refused(effect: float) -> None:
    with pytest.raises(PlanRefused, match="--effect"):
        Traffic(Plan(effect=effect), Rules(), ANCHOR)
