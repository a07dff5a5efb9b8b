"""When users of arms are known, which numbers are shown, and when unequal shares raise the alarm (C36). Pure."""

from math import nan

import numpy as np
import pytest

from pintally.sinks.reads.arm_users import KEYS, NOT_COUNTED, Row, Users, users_of
from pintally.sinks.reads.experiments import Measured


def measured(**events: int) -> list[Measured]:
    """Results of these arms: half of the events are saves, the rest are close-ups."""
    return [
        Measured(arm, "control", metric, part, nan, nan, nan, nan, nan, nan, nan, None, None, nan, False)
        for arm, n in events.items()
        for metric, part in (("saves", n // 2), ("closeups", n - n // 2), ("trusted_saves", n // 3))
    ]


def members(**arms: tuple[int, int]) -> list[Row]:
    """Users and events of each arm."""
    return [Row(arm, users, 0, events, [7]) for arm, (users, events) in arms.items()]


def test_the_control_arm_is_first_and_the_others_follow_by_name() -> None:
    found = users_of(members(b=(30, 90), control=(31, 80), a=(32, 70)), measured(a=70, b=90, control=80), 20)
    assert [(arm.arm, arm.users) for arm in found.arms] == [("control", 31), ("a", 32), ("b", 30)]
    assert found.unknown == ""


def test_without_a_control_arm_nothing_is_compared() -> None:
    found = users_of(members(a=(900, 900), b=(90, 90)), measured(a=900, b=90, control=0), 20)
    assert [arm.sample_ratio_p for arm in found.arms] == [None, None]


@pytest.mark.parametrize(("events", "is_known"), [(1_000, True), (1_010, True), (990, True), (989, False), (0, False)])
def test_users_are_known_if_they_have_the_events_of_each_arm(events: int, is_known: bool) -> None:
    """Workers count on between two queries, and a person may be erased: a hundredth may be missing."""
    found = users_of(members(control=(50, 1_000), b=(50, events)), measured(control=1_000, b=1_000), 20)
    assert (found.unknown == NOT_COUNTED) is not is_known
    assert bool(found.arms) is is_known


def test_an_arm_without_members_makes_all_unknown() -> None:
    assert users_of(members(control=(50, 99)), measured(control=99, b=99), 20) == Users(unknown=NOT_COUNTED)
    assert users_of([], measured(control=99), 20) == users_of([], [], 20) == Users(unknown=NOT_COUNTED)


def test_users_of_two_keys_are_not_added_up_even_if_each_arm_has_one() -> None:
    rows = [Row("control", 50, 0, 99, [7]), Row("b", 50, 0, 99, [8])]
    assert users_of(rows, measured(control=99, b=99), 20) == Users(unknown=KEYS)


def test_groups_below_the_least_number_are_not_shown_and_not_compared() -> None:
    rows = [Row("control", 500, 19, 999, [7]), Row("b", 19, 0, 99, [7])]
    control, b = users_of(rows, measured(control=999, b=99), 20).arms
    assert (control.users, control.in_several_arms) == (500, None)
    assert (b.users, b.in_several_arms, b.sample_ratio_p, b.sample_ratio_alarm) == (None, 0, None, False)


def test_equal_shares_seldom_raise_the_alarm_and_unequal_ones_do() -> None:
    """20,000 experiments with equal shares: p is below 0.05 in one of twenty; 10,000 users of 45:55 are found."""
    rng, n = np.random.default_rng(1), 10_000

    def alarm(share: float) -> tuple[float, bool]:
        of_b = int(rng.binomial(n, share))
        rows, events = members(control=(n - of_b, n), b=(of_b, n)), measured(control=n, b=n)
        _, b = users_of(rows, events, 20).arms
        assert b.sample_ratio_p is not None
        return b.sample_ratio_p, b.sample_ratio_alarm

    equal = [alarm(0.5) for _ in range(20_000)]
    assert 0.045 < np.mean([p < 0.05 for p, _ in equal]) < 0.055
    assert np.mean([is_alarm for _, is_alarm in equal]) < 0.002
    assert all(is_alarm for _, is_alarm in (alarm(0.45) for _ in range(100)))
