"""Two workers with one instance name: one ends and says why, the other counts on."""

from pathlib import Path

import pytest

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
        assert first.said("error: another worker runs with --instance same")
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
