"""Workers with instance names: two of one name, and one that comes again before Kafka has missed it."""

import signal
from pathlib import Path

import pytest

from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import group_members
from pintally.streams.settings import Settings
from tests.e2e.running import pintally, verify, wait_caught_up, wait_for, workers


@pytest.mark.timeout(300)
def test_of_two_workers_with_one_instance_the_replaced_one_ends_and_says_why(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        first = start("same")
        first.wait_ready()
        second = start("same")
        wait_for(lambda: not first.alive, 60, "the first one ends")
        assert first.process.returncode == 2
        assert first.said("this worker ends: another worker runs with --instance same")
        assert first.said("Give each worker a name of its own")
        assert not first.said("Traceback")
        assert pintally(stack, "emulate", "--events", "200").returncode == 0
        wait_caught_up(stack)
        assert second.alive
        assert verify(stack)["exact"]
        third = start("same")  # after a kill -9 of the second, as a supervisor would
        second.kill()
        third.wait_ready()
        assert third.alive
        assert third.stop() == 0


@pytest.mark.timeout(300)
def test_partitions_that_are_added_are_counted_though_the_leader_came_again_within_its_session(
    stack: Settings, tmp_path: Path
) -> None:
    stack = stack.changed(session_timeout_seconds=30.0)  # however long a busy machine takes to start it again
    with workers(stack, tmp_path) as start:
        first = start("one")
        first.wait_ready()
        second = start("two")
        second.wait_ready()
        first.kill()
        with open_admin(stack.kafka) as admin:
            admin.create_partitions(dict.fromkeys(stack.topics.names.values(), stack.topics.partitions + 3))
        first = start("one")
        assert pintally(stack, "emulate", "--events", "500").returncode == 0
        wait_caught_up(stack)
        assert first.alive
        assert second.alive
        assert verify(stack)["exact"]


@pytest.mark.timeout(300)
def test_a_static_worker_keeps_its_place_if_it_is_told_to_stop_and_leaves_if_that_is_for_good(
    stack: Settings, tmp_path: Path
) -> None:
    stack = stack.changed(session_timeout_seconds=60.0)
    with workers(stack, tmp_path) as start:
        first = start("one")
        first.wait_ready()
        assert first.stop() == 0
        assert len(group_members(stack.kafka)) == 1
        again = start("one")
        again.wait_ready()
        again.signal(signal.SIGINT)
        wait_for(lambda: not again.alive, 60, "it ends")
        assert again.process.returncode == 0
        assert again.said("it has left group")
        assert group_members(stack.kafka) == []
        assert pintally(stack, "rules", "apply", "--yes").returncode == 0
