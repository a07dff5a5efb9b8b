"""`experiment_results`: what differs by chance is seldom called a difference, and what differs is found (C32)."""

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.cells import ExperimentRows
from pintally.schemas.experiments import BUCKETS, bucket_of
from pintally.schemas.label_column import LabelColumn
from pintally.streams.settings import Settings
from tests.sinks.sealing import YESTERDAY, read, write

HOUR = YESTERDAY
USERS, BOTS = 20_000, 20
Totals = NDArray[np.float64]  # shape (arm, action, bucket)


@dataclass(frozen=True)
class People:
    """Events of users: most make few, some many, and bots very many."""

    buckets: NDArray[np.int64]
    events: NDArray[np.int64]  # shape (user, action)

    @classmethod
    def drawn(cls, seed: int) -> "People":
        rng = np.random.default_rng(seed)
        events = rng.poisson(rng.gamma(0.5, 6.0, (USERS, 1)) * [0.15, 0.25, 1.0])
        events[:BOTS] = rng.integers(20, 60, (BOTS, 3))
        return cls(np.array([bucket_of(int(user)) for user in rng.integers(0, 2**63, USERS)]), events)

    def split(self, seed: int, effect: float = 0.0) -> Totals:
        """Users drawn into two arms; of the second one's users this share of saves is done once more."""
        rng = np.random.default_rng(seed)
        arm = rng.integers(0, 2, USERS)
        events = self.events.copy()
        if effect:
            events[:, 0] += np.where(arm == 1, rng.binomial(events[:, 0], effect), 0)
        found = np.zeros((2, 3, BUCKETS))
        for action in range(3):
            np.add.at(found[:, action], (arm, self.buckets), events[:, action])
        return found


def by_buckets(control: NDArray[Any], treatment: NDArray[Any]) -> float:
    """Welch's test over the sums of buckets, with the normal distribution."""
    error = sqrt(BUCKETS * (control.var(ddof=1) + treatment.var(ddof=1)))
    return erfc(abs(treatment.sum() - control.sum()) / error / sqrt(2))


def by_poisson(control: NDArray[Any], treatment: NDArray[Any]) -> float:
    """As if each event were a draw of its own."""
    return erfc(abs(treatment.sum() - control.sum()) / sqrt(treatment.sum() + control.sum()) / sqrt(2))


def rows(name: str, totals: Totals) -> ExperimentRows:
    """The cells of one hour and slice."""
    arms, actions, buckets = (each.ravel() for each in np.indices(totals.shape))
    counts = totals.ravel().astype(np.uint64)
    there = counts > 0
    n = int(there.sum())
    return ExperimentRows(
        source=np.ones(n, np.uint64),
        slice_block=np.zeros(n, np.uint32),
        arrived_at=np.full(n, HOUR, np.uint32),
        version=np.full(n, 9, np.uint64),
        action=(actions[there] + 1).astype(np.uint8),
        hour=np.full(n, HOUR, np.uint32),
        experiment=LabelColumn.repeat(name, n),
        arm=LabelColumn(arms[there].astype(np.uint32), ("control", "treatment")),
        bucket=buckets[there].astype(np.uint8),
        events=counts[there],
        trusted=counts[there],
    )


def results(settings: Settings, name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the view by arm and metric."""
    columns = (
        "arm", "control", "metric", "value", "difference", "low", "high", "lift", "lift_low", "lift_high", "p",
        "sample_ratio_p",
    )  # fmt: skip
    asked = f"experiment = '{name}', since = {HOUR}, until = {HOUR + 1}"
    found = read(settings.clickhouse, f"SELECT {', '.join(columns)} FROM experiment_results({asked})")
    return {(row[0], row[2]): dict(zip(columns, row, strict=True)) for row in found}


def test_equal_arms_differ_in_one_of_twenty_by_buckets_and_in_more_by_events() -> None:
    """400 splits of the same people, with bots: false alarms at 5%."""
    people = People.drawn(1)
    splits = [people.split(seed) for seed in range(400)]
    alarms = {
        test: np.mean([test(split[0].sum(0), split[1].sum(0)) < 0.05 for split in splits])
        for test in (by_buckets, by_poisson)
    }
    assert 0.03 <= alarms[by_buckets] <= 0.07
    assert alarms[by_poisson] > 0.1


def lift_of(control: NDArray[Any], treatment: NDArray[Any], *, is_exact: bool = False) -> tuple[float, float]:
    """The lift of sums over buckets, and its standard error by the delta method; or as if control were exact."""
    variances = [BUCKETS * each.var(ddof=1) for each in (control, treatment)]
    value = treatment.sum() / control.sum()
    return value - 1, sqrt(variances[1] + variances[0] * (1 if is_exact else value**2)) / control.sum()


def test_the_interval_of_the_lift_holds_the_true_one_in_nineteen_of_twenty_cases() -> None:
    """500 splits of the same people, with bots; as they are, and if each user of the second arm does all twice."""
    people = People.drawn(1)
    splits = [people.split(seed)[:, 2] for seed in range(500)]

    def coverage(times: int, *, is_exact: bool = False) -> float:
        found = [lift_of(control, times * treatment, is_exact=is_exact) for control, treatment in splits]
        return float(np.mean([abs(lift - (times - 1)) < 1.96 * error for lift, error in found]))

    assert 0.93 < coverage(1) < 0.97
    assert 0.93 < coverage(2) < 0.97
    assert coverage(2, is_exact=True) < 0.91, "control: the value of the control arm is taken for exact"


@pytest.fixture(scope="module")
def people() -> People:
    return People.drawn(2)


def test_the_view_says_what_the_test_over_buckets_says(stack: Settings, people: People) -> None:
    splits = {f"equal {seed}": people.split(seed) for seed in range(8)}
    for name, totals in splits.items():
        write(stack.clickhouse, rows(name, totals))
    for name, totals in splits.items():
        found = results(stack, name)
        for action in Action:
            control, treatment = totals[0, action - 1], totals[1, action - 1]
            row = found["treatment", action.column]
            assert row["control"] == "control"
            assert row["value"] == treatment.sum()
            assert row["difference"] == treatment.sum() - control.sum()
            assert row["p"] == pytest.approx(by_buckets(control, treatment))
            lift, error = lift_of(control, treatment)
            interval = lift, lift - 1.959963984540054 * error, lift + 1.959963984540054 * error
            assert (row["lift"], row["lift_low"], row["lift_high"]) == pytest.approx(interval)
            assert (row["low"] < 0 < row["high"]) == (row["p"] > 0.05)
            assert np.isnan(found["control", action.column]["p"])
        assert found["treatment", "saves"]["sample_ratio_p"] == pytest.approx(
            by_buckets(totals[0].sum(0), totals[1].sum(0))
        )


def test_a_rate_has_the_interval_of_the_jackknife(stack: Settings, people: People) -> None:
    """Of a ratio, the variance by the delta method is nearly that of leaving out one bucket after the other."""
    totals = people.split(3)
    write(stack.clickhouse, rows("rates", totals))
    row = results(stack, "rates")["treatment", "save_rate"]
    rates, variances = [], []
    for saves, _, closeups in totals:
        without = (saves.sum() - saves) / (closeups.sum() - closeups)
        rates.append(saves.sum() / closeups.sum())
        variances.append((BUCKETS - 1) / BUCKETS * ((without - without.mean()) ** 2).sum())
    assert row["value"] == pytest.approx(rates[1])
    assert row["difference"] == pytest.approx(rates[1] - rates[0])
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.959963984540054 * sqrt(sum(variances)), rel=0.05)


def test_an_effect_is_found_and_its_interval_holds_it(stack: Settings, people: People) -> None:
    """A tenth more saves; close-ups are the same, so the rate rises by a tenth too."""
    write(stack.clickhouse, rows("better", people.split(5, effect=0.3)))
    found = results(stack, "better")
    control = found["control", "save_rate"]["value"]
    rate = found["treatment", "save_rate"]
    assert rate["p"] < 0.001
    assert rate["low"] < 0.3 * control < rate["high"]
    assert rate["lift_low"] < 0.3 < rate["lift_high"]
    assert found["treatment", "closeups"]["p"] > 0.05


def test_unequal_shares_raise_the_alarm_and_leave_rates_alone(stack: Settings, people: People) -> None:
    totals = people.split(6)
    totals[1, :, : BUCKETS // 2] = 0  # half of the second arm's users were never assigned
    write(stack.clickhouse, rows("unequal", totals))
    found = results(stack, "unequal")
    assert found["treatment", "saves"]["sample_ratio_p"] < 0.001
    assert found["treatment", "save_rate"]["p"] > 0.01


def few(*cells: tuple[int, Action, int, int]) -> Totals:
    """Arms that have no events but these: arm, action, bucket and number."""
    totals = np.zeros((2, 3, BUCKETS))
    for arm, action, bucket, events in cells:
        totals[arm, action - 1, bucket] = events
    return totals


UNKNOWN = ("low", "high", "lift_low", "lift_high", "p")


@pytest.mark.parametrize(("control", "treatment"), [((1, 3), (5, 7)), ((1, 3), (1, 7)), ((3, 49), (5, 22))])
@pytest.mark.parametrize("buckets", [1, 2])
def test_buckets_that_do_not_differ_say_nothing_of_chance(
    control: tuple[int, int], treatment: tuple[int, int], buckets: int, stack: Settings
) -> None:
    """A user or two of each arm, all with the same rate: whatever is added up with rounding, it is not certain."""
    write(
        stack.clickhouse,
        rows(
            "few",
            few(
                *(
                    (arm, action, bucket, count)
                    for bucket in range(buckets)
                    for arm, counts in enumerate((control, treatment))
                    for action, count in zip((Action.SAVE, Action.CLOSEUP), counts, strict=True)
                )
            ),
        ),
    )
    row = results(stack, "few")["treatment", "save_rate"]
    assert row["difference"] == pytest.approx(treatment[0] / treatment[1] - control[0] / control[1])
    assert {name: row[name] for name in UNKNOWN if not np.isnan(row[name])} == {}


def test_few_buckets_are_not_taken_for_256(stack: Settings) -> None:
    """Of a rate, buckets without events say nothing: its variance is that between those with some."""
    pairs = ((0, ((1, 3), (2, 4), (9, 12))), (1, ((5, 7), (1, 9), (2, 11))))
    cells = [(arm, action, 40 * n, pair[place]) for arm, each in pairs for n, pair in enumerate(each)
             for place, action in enumerate((Action.SAVE, Action.CLOSEUP))]  # fmt: skip
    write(stack.clickhouse, rows("three", few(*cells)))
    row = results(stack, "three")["treatment", "save_rate"]
    variance = 0.0
    for _, each in pairs:
        saves, closeups = np.array(each, float).T
        rest = saves - saves.sum() / closeups.sum() * closeups
        variance += 3 / 2 * (rest**2).sum() / closeups.sum() ** 2
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.959963984540054 * sqrt(variance))


def test_what_is_divided_by_nothing_is_not_a_number(stack: Settings) -> None:
    """A rate of an arm without close-ups, and a lift over a control arm without events: no infinite ones."""
    write(
        stack.clickhouse,
        rows("nothing", few((0, Action.SAVE, 1, 2), (1, Action.SAVE, 1, 3), (1, Action.CLOSEUP, 2, 5))),
    )
    found = results(stack, "nothing")
    assert np.isnan(found["control", "save_rate"]["value"])
    assert np.isnan(found["treatment", "save_rate"]["difference"])
    assert np.isnan(found["treatment", "closeups"]["lift"])
    assert found["treatment", "closeups"]["difference"] == 5
    assert [
        (key, name) for key, row in found.items() for name, n in row.items() if isinstance(n, float) and np.isinf(n)
    ] == []


def test_no_event_at_all_is_no_certain_lift(stack: Settings) -> None:
    """An arm without saves has lost them all, but by chance as well: the interval is not a point."""
    cells = [
        (0, Action.SAVE, 1, 1),
        (0, Action.CLOSEUP, 1, 2),
        (0, Action.CLOSEUP, 2, 3),
        (1, Action.CLOSEUP, 5, 1),
        (1, Action.CLOSEUP, 6, 2),
    ]
    write(stack.clickhouse, rows("none", few(*cells)))
    row = results(stack, "none")["treatment", "save_rate"]
    assert (row["lift"], row["low"] < row["high"]) == (-1, True)
    assert np.isnan(row["lift_low"])
    assert np.isnan(row["lift_high"])


def test_an_experiment_without_events_has_no_rows(stack: Settings) -> None:
    assert results(stack, "nobody") == {}
