"""An error of any kind in a live worker ends it at once, by itself and with its own words; another worker counts on.

`PINTALLY_TEST_ENDINGS=50` has fifty of them happen while all cores are busy; a few, chosen at random, are usual.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pintally.streams.settings import Settings
from pintally.tools.python import module
from tests.e2e.faults import KINDS
from tests.e2e.running import BUSY, READY, Traffic, verify, wait_caught_up, wait_for, workers
from tests.support.forkserver import Forked, fork_server

ASKED = int(os.environ.get("PINTALLY_TEST_ENDINGS", "0"))
USUAL = 3
SECONDS = 2.0  # from the error to the end
ALLOWED = SECONDS if ASKED else 10 * SECONDS  # beside other tests; what hangs takes longer than that too


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """All cores have something else to do."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def chosen(count: int, seed: int) -> list[str]:
    """So many kinds, all of them before any comes again."""
    kinds = sorted(KINDS)
    rng = random.Random(seed)
    rng.shuffle(kinds)
    return [kinds[number % len(kinds)] for number in range(count)]


def fault_at(worker: Forked) -> float | None:
    """When the error happened."""
    found = re.search(r"FAULT ([\d.]+)", worker.text())
    return float(found[1]) if found else None


def supervised(settings: Settings, folder: Path, *fault: str) -> Forked:
    """A worker as under a supervisor: where it would take its own place it ends. `fault` is a kind and its trigger."""
    log = Path(mkdtemp(dir=folder), "worker.log")
    return fork_server().start(
        [*module("tests.e2e.faults"), *fault], environment=settings.environment(), log=log, signals_wait=True
    )


def counting(worker: Forked) -> Forked:
    """Once it counts, or has ended."""
    wait_for(lambda: READY in worker.text() or worker.poll() is not None, 60, "a worker that counts")
    return worker


def met(folder: Path, settings: Settings, kind: str, frozen: float) -> float:
    """A worker that counts meets the error; seconds from it to the end."""
    trigger = Path(mkdtemp(dir=folder), "trigger")
    worker = counting(supervised(settings, folder, kind, str(trigger)))
    if frozen:
        worker.send_signal(signal.SIGSTOP)
        time.sleep(frozen)
    trigger.touch()
    worker.send_signal(signal.SIGCONT)
    wait_for(lambda: fault_at(worker) or worker.poll() is not None, 30, f"{kind} strikes")
    code = worker.wait(SECONDS * 10 * BUSY)
    expected = KINDS[kind]
    assert code == expected.code, f"{kind} ended with {code}:\n{worker.text()[-4000:]}"
    assert expected.words in worker.text(), kind
    if expected.code == 2:
        assert "Traceback" not in worker.text(), kind
    struck = fault_at(worker)
    assert struck is not None
    return worker.ended_at - struck


@pytest.mark.timeout(3600)
def test_an_error_in_a_live_worker_ends_it_within_two_seconds_and_another_counts_on(
    stack: Settings, tmp_path: Path
) -> None:
    stack = stack.changed(session_timeout_seconds=10.0)
    seed = random.SystemRandom().randrange(10**6)
    rng, kinds = random.Random(seed), chosen(ASKED or USUAL, seed)
    print(f"seed {seed}: {', '.join(kinds)}")
    took: dict[str, float] = {}
    with (
        workers(stack, tmp_path) as start,
        Traffic(stack, "--rate", "200") as traffic,
        busy(os.cpu_count() or 1 if ASKED else 0),
    ):
        other = start("other")
        one = stack.changed(kafka_group_instance_id="one")  # who comes in its place does not wait for its session
        other.wait_ready()
        for number, kind in enumerate(kinds):
            seconds = met(tmp_path, one, kind, rng.choice([0.0, 0.0, 0.5]))
            took[f"{number} {kind}"] = seconds
            assert seconds <= ALLOWED, (seed, kind, seconds)
        traffic.stop()
        wait_caught_up(stack)
        assert other.alive
    verify(stack)
    slowest = max(took, key=lambda name: took[name])
    print(f"{len(took)} errors; the longest took {took[slowest]:.2f} s ({slowest})")
