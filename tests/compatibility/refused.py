"""A broker that is too old is refused by name. Runs only by `python -m tests.compatibility --kafka VERSION`."""

import pytest

from pintally.streams.settings import Settings
from tests.e2e.running import pintally


@pytest.mark.parametrize("command", ["migrate", "worker", "status", "emulate"])
def test_the_version_and_the_lowest_one_are_named(settings: Settings, command: str) -> None:
    done = pintally(settings, command)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "older than 3.6" in done.stderr
    assert "Upgrade the brokers" in done.stderr
    assert "Traceback" not in done.stderr
