"""Schedules of the simulation: whatever happens, the counts are exact. More of them: `python -m tests.simulation`."""

import pytest

from tests.simulation.__main__ import few_collections, first_failure
from tests.simulation.kinds import seals
from tests.simulation.schedule import Schedule
from tests.simulation.sealing.schedule import Schedule as Sealing

SCHEDULES, BATCH = 1_000, 100
TOLD = 240  # of the schedules: they say what happens in them

BITES = (
    "drop", "repeat", "stale", "lost", "halved", "silent", "later", "a late ", "still on the way", "killed",
    "is paused", "wakes up", "a flush is cancelled", "ClickHouse is down", "goes back to a copy", "was flushed",
    "the rules shall be", "rules apply is interrupted", "rules apply is killed", "its session was over",
    "somebody ruins", "repair is interrupted", "repair is killed", "repair is done: 0",
    "and has them again", "write_ledger of a cancelled flush", "one after the other",
    "is trimmed to", "lost is interrupted", "lost is killed", "lost is done",
    "and rows of pin_members", "and rows of experiment_cells", "and rows of arm_members",
    "is shard ", "no quorum", "a disk is lost",
)  # fmt: skip


@pytest.fixture(scope="module")
def told() -> list[list[str]]:
    """What the first schedules say, by seed. Each of them is exact."""
    said: list[list[str]] = []
    with few_collections():
        for seed in range(TOLD):
            said.append([])
            Schedule(seed, said[-1].append).run()
            if seals(seed):
                Sealing(seed).run()
    return said


@pytest.mark.parametrize("first", range(TOLD // BATCH * BATCH, SCHEDULES, BATCH))
def test_no_schedule_of_faults_changes_what_is_counted(first: int) -> None:
    failed = first_failure(range(max(first, TOLD), first + BATCH), None)
    assert failed is None, f"see: python -m tests.simulation --seeds 1 --start {failed}"


def test_every_kind_of_fault_happens_within_the_first_schedules_all_exact(told: list[list[str]]) -> None:
    assert [bite for bite in BITES if not any(bite in line for said in told for line in said)] == []


def test_a_seed_repeats_its_schedule_to_the_word(told: list[list[str]]) -> None:
    for seed in range(20):
        again: list[str] = []
        Schedule(seed, again.append).run()
        assert again == told[seed]


def test_a_hole_below_an_epoch_start_that_no_worker_can_fill_does_not_keep_a_schedule_from_its_end() -> None:
    said: list[str] = []
    for seed in range(20):
        schedule = Schedule(seed, said.append)
        schedule.faults = 0.0
        with schedule.world.edges():
            schedule.world.start()
            schedule._finish()
            schedule.world.change_rules()
            schedule._end_change()
            schedule.world.damage("ledger rows")
            schedule._end()
    assert any("has no row of the slice" in line for line in said)


def test_a_copy_of_clickhouse_from_before_does_not_keep_a_change_of_rules_from_its_end() -> None:
    said: list[str] = []
    Schedule(1_841, said.append).run()  # after a change one shard goes back, and another change meets the hole
    assert any("has no row of the slice" in line for line in said)
