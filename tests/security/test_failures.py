"""Every command against every way in which an engine can fail: an exit code and a remedy, in bounded time."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from pintally.schemas.errors import FOR_A_PERSON, TRY_AGAIN
from tests.security.commands import ASKS, asked_by, commands
from tests.security.failing import TRANSIENT, WAITS, WRONG, failing, failures, waits
from tests.security.forked import Commands, Done
from tests.support.secured import SECRET, Secured

ENDS = " this worker ends: "
Started = dict[tuple[str, str, str], "Future[Done]"]


@pytest.fixture(scope="module")
def started(secured: Secured, run: Commands) -> Iterator[Started]:
    with failing(secured, run) as all_started:
        yield all_started


def test_every_command_that_asks_an_engine_is_known() -> None:
    assert set(ASKS) == set(commands())


CASES = [
    (command, engine, failure)
    for command in commands()
    for engine in asked_by(command)
    for failure in failures(command, engine)
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("command", "engine", "failure"), CASES)
def test_a_command_says_what_fails_and_what_to_do(started: Started, command: str, engine: str, failure: str) -> None:
    done = started[command, engine, failure].result(550)
    said = done.out + done.err
    assert "Traceback" not in said
    assert WRONG not in said
    assert SECRET not in said
    if waits(command, failure):
        assert done.code is None, said
        assert WAITS in said
        return
    assert done.code == (TRY_AGAIN if failure in TRANSIENT else FOR_A_PERSON), said
    _, said_so, remedy = done.err.rpartition(ENDS if command == "worker" else "error: ")
    assert said_so, said
    if failure == "no right":
        assert ("kafka-acls.sh" if engine == "kafka" else "GRANT ") in said
    assert (". " if command == "worker" else "\n  ") in remedy, "no remedy"
