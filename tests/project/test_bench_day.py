"""The simulated day: nothing is lost in it, and what gives first is what it says."""

from dataclasses import replace
from itertools import pairwise

import pytest

from bench import billion
from bench.capacity import Measured
from bench.day import carried, page, planned, simulate
from bench.day_costs import HOURS, PEAK_HOUR, Costs, Plan
from bench.day_limits import first_to_give, limits
from bench.measured import Measured as Run
from bench.outcome import Entry, Results

# A worker counts 1,000,000 events a second with a core; half a row an event; a flush takes 100 ms and 1 us a row.
RATE = Measured(100_000, 1.0, 0.5, 0.5, 0.5, 8.0, 200.0)
COSTS = Costs([RATE], 1.0, 0.1, 1e-6, 0.5)
PLAN = Plan(2_000_000, 1.5, 4, 2, 16, 1.0, 8, 0.6, 10)


def test_demand_is_the_rate_over_the_day_and_highest_in_the_evening() -> None:
    of_day = [PLAN.demand(minute) for minute in range(HOURS * 60)]
    assert sum(of_day) / len(of_day) == pytest.approx(PLAN.rate)
    assert max(of_day) == pytest.approx(3_000_000)
    assert of_day.index(max(of_day)) == PEAK_HOUR * 60


def test_with_enough_of_all_nothing_waits_and_flushes_keep_their_interval() -> None:
    day = simulate(PLAN, COSTS)
    assert {minute.waits for minute in day} == {0.0}
    assert {minute.interval for minute in day} == {PLAN.flush_seconds}
    assert max(minute.behind for minute in day) == pytest.approx(1.0 + 0.1 + 3_000_000 / 4 * 0.5 * 1e-6)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_what_is_not_counted_waits_and_none_of_it_is_lost(workers: int) -> None:
    plan = replace(PLAN, rate=workers * 900_000, workers=workers)
    day = simulate(plan, COSTS)
    assert max(minute.waits for minute in day) > 0
    for before, after in pairwise(day):
        assert after.waits == pytest.approx(before.waits + 60 * (after.demand - after.counted), abs=1)
    assert max(minute.counted for minute in day) <= workers * 1_000_000 * 1.001


def test_servers_that_are_too_small_hold_workers_back() -> None:
    day = simulate(replace(PLAN, rate=1_800_000, server_cores=1), COSTS)
    assert max(minute.counted for minute in day) == pytest.approx(2_000_000)
    assert max(minute.waits for minute in day) > 0


def test_a_flush_that_takes_longer_than_its_interval_makes_it_longer() -> None:
    slow = replace(COSTS, flush_seconds=2.0)
    _, interval, flush = carried(PLAN, slow, 1_000_000)
    assert interval == pytest.approx(flush)
    assert interval > 2.0


def test_rows_that_come_faster_than_they_are_written_are_what_holds_a_worker_back() -> None:
    slow = replace(COSTS, row_seconds=1e-5)
    counted, _, _ = carried(PLAN, slow, 4_000_000)
    assert counted == pytest.approx(4 * 0.99e5 / 0.5)
    assert limits(PLAN, slow)[0].part == "a flush of a worker"


def test_what_gives_first_is_used_most_at_the_peak() -> None:
    found = limits(replace(PLAN, server_cores=1), COSTS)
    assert found[0].part == "CPU of ClickHouse"
    assert found[0].peak == pytest.approx(3.0)
    assert first_to_give(found).startswith("It is not enough. What gives first is CPU of ClickHouse: 3 of 2 cores")
    assert [limit.share for limit in found] == sorted((limit.share for limit in found), reverse=True)


def test_workers_that_are_not_given_are_as_many_as_the_peak_takes() -> None:
    plan = planned(replace(PLAN, workers=0, partitions=0), COSTS)
    assert (plan.workers, plan.partitions) == (5, 20)
    assert "5 workers, 20 partitions" in page(plan, COSTS, simulate(plan, COSTS))


def run(contestant: str, cpu: float, clickhouse: float | None, right: bool = True) -> Run:
    return Run(contestant, 1, 1_000_000, cpu, 1.0, 1, 0.36, clickhouse, 1_000_000, 0 if right else 1, 1.0)


def test_a_billion_events_cost_what_all_processes_use() -> None:
    entries = [Entry("ours", "Ours", ""), Entry("theirs", "Theirs", ""), Entry("wrong", "Wrong", "")]
    runs = [run("ours", 0.72, 0.36), run("theirs", 7.56, None), run("wrong", 0.1, 0.1, right=False)]
    found = Results("2026-01-01", {}, {}, {}, entries, runs)
    lines = billion.section(found, "ours").splitlines()
    assert "| Ours | 0.20 | 0.10 | 0.10 | 0.40 | 1.0 |" in lines
    assert "| Theirs | 2.10 | 0.00 | 0.10 | 2.20 | 5.5 |" in lines
    assert "Wrong" not in "".join(lines)
