"""Commands under a user id without a name or a home, as containers are often run: they read all, and write nowhere."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from pintally.tools.engines.cache import cache_folder, is_cached
from pintally.tools.engines.jars import LOCK
from pintally.tools.python import PINTALLY
from tests.e2e.running import BUSY, wait_caught_up, workers

NOBODY = "54321"
# May read what root may, so that it does not matter where Python is installed; may write what everybody may.
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
    "env", "--unset=HOME", "--unset=XDG_CACHE_HOME", "--unset=NUMBA_CACHE_DIR", "TMPDIR=/nowhere",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _can_become_nobody() -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become somebody else, by setpriv")
    if subprocess.run([*AS_NOBODY, "true"], check=False, capture_output=True).returncode:
        pytest.skip("setpriv may not do this here")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of theirs. Java asks whether a file may be read in a way that needs more than being able to."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, int(NOBODY), int(NOBODY))
        yield Path(name)


def run(folder: Path, environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """As nobody; `NAME=VALUE` before the command sets variables."""
    return subprocess.run(
        [*AS_NOBODY, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=90 * BUSY, check=False,
    )  # fmt: skip


def unset() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PINTALLY_")}


@pytest.mark.parametrize("home", ["LANG=C", "HOME=/", "XDG_CACHE_HOME=/proc/nowhere"])
def test_up_names_the_variable_that_it_needs(folder: Path, home: str) -> None:
    done = run(folder, unset(), home, *PINTALLY, "up")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "Set XDG_CACHE_HOME or HOME to a folder that you may write to." in done.stderr


def test_up_runs_where_the_engines_are_in_a_cache_that_it_may_read(folder: Path) -> None:
    if not is_cached(next((path.name for path in cache_folder().glob("clickhouse-*[0-9a-f]")), "none")):
        pytest.skip("the engines are not cached")
    assert LOCK.exists()
    with subprocess.Popen(
        [*AS_NOBODY, f"XDG_CACHE_HOME={cache_folder().parents[1]}", *PINTALLY, "up"],
        cwd=folder, env=unset(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as up:  # fmt: skip
        assert up.stdout
        try:
            said = ""
            while "Ctrl-C stops them" not in said and (line := up.stdout.readline()):
                said += line
        finally:
            up.send_signal(signal.SIGTERM)
            said += up.stdout.read()
    assert ("Ctrl-C stops them" in said, up.returncode) == (True, 0), said
    assert all(path.stat().st_uid == int(NOBODY) for path in folder.rglob("*"))


def test_a_worker_counts_and_status_and_verify_answer(stack: Settings, folder: Path, tmp_path: Path) -> None:
    """Where nothing can be kept, the loops are compiled at each start; here not optimized, which takes long."""
    with workers(stack, tmp_path) as start:
        worker = start(command=(*AS_NOBODY, "NUMBA_OPT=0", *PINTALLY, "worker"))
        worker.wait_ready()
        assert worker.log.read_text().count("compiling the loops") == 1
        assert run(folder, stack.environment(), *PINTALLY, "emulate", "--events", "100").returncode == 0
        wait_caught_up(stack)
        assert '"lag": 0' in run(folder, stack.environment(), *PINTALLY, "status", "--json").stdout
        assert worker.stop() == 0
    done = run(folder, stack.environment(), *PINTALLY, "verify", "--processes", "1")
    assert "Set TMPDIR to a folder that you may write to." not in done.stderr
    assert (done.returncode, "exact: 100 records" in done.stdout) == (0, True), done.stderr
