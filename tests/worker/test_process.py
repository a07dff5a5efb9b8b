"""How a process of ours ends: at once, whatever hangs, with the right exit code; told to stop, it never restarts."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

import pytest

from pintally.streams.worker import process
from pintally.streams.worker.process import LONGEST_PAUSE_SECONDS, RESTARTED

HANGS_SECONDS = 120  # what nobody may wait for: far longer than a busy machine takes
BEGIN = f"""
import logging, os, signal, sys, threading, time
from pintally.schemas.errors import PintallyError, Unavailable
from pintally.streams.worker import process
from pintally.streams.worker.process import end_process, refuse, watch
logging.basicConfig(level=logging.INFO, format="%(message)s")
watch.begin()
HANGS = {HANGS_SECONDS}
"""


def run(program: str, stderr: int = subprocess.PIPE, restarted: str | None = None) -> tuple[int, str]:
    """Run it to its end, as one that was restarted so often; exit code, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + textwrap.dedent(program)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=dict(os.environ) | ({} if restarted is None else {RESTARTED: restarted}),
    )
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out + (err or "")


def test_it_asks_to_be_started_again_where_nobody_else_would_start_it() -> None:
    code, said = run("end_process('no answered heartbeat')")
    assert code == 75
    assert "this worker restarts: no answered heartbeat" in said


def test_a_refusal_has_the_exit_code_of_its_error() -> None:
    code, said = run("refuse(PintallyError('the topic is gone', 'Make it.'))")
    assert code == 2
    assert "this worker ends: the topic is gone. Make it." in said
    assert run("refuse(Unavailable('Kafka is away', 'Start it.'))")[0] == 75


def test_any_thread_ends_it_while_the_main_one_hangs() -> None:
    code, _ = run("threading.Thread(target=end_process, args=('bad',)).start(); time.sleep(HANGS)")
    assert code == 75


def test_a_worker_takes_its_own_place_and_counts_how_often_in_a_row() -> None:
    program = """
    process.command = (sys.executable, "-c", "import os; print('anew', os.environ['PINTALLY_RESTARTED'])")
    end_process("bad")
    """
    assert "anew 1\n" in run(program)[1]
    assert "anew 4\n" in run(program, restarted="3")[1]


@pytest.mark.parametrize(("before", "seconds"), [("0", 0), ("1", 0), ("2", 1), ("5", 8), ("40", LONGEST_PAUSE_SECONDS)])
def test_workers_that_end_in_a_row_begin_later_and_later(
    before: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RESTARTED, before)
    slept: list[float] = []
    process.pause(slept.append)
    assert sum(slept) == seconds


def test_who_was_told_to_stop_is_not_started_anew() -> None:
    """The session's watch replaced a worker four seconds into its stop: the supervisor waited until it killed it."""
    program = """
    process.command = (sys.executable, "-c", "print('anew')")
    watch.stop_cleanly = lambda: None
    os.kill(os.getpid(), signal.SIGTERM)
    while not watch.told: time.sleep(0.01)
    end_process("no answered heartbeat")
    """
    code, said = run(program)
    assert code == 0
    assert "anew\n" not in said


def test_a_signal_that_comes_while_the_process_is_replaced_stops_the_one_that_takes_its_place() -> None:
    program = f"""
    process.command = (sys.executable, "-c", {BEGIN + "time.sleep(HANGS)"!r})
    act = lambda: (os.kill(os.getpid(), signal.SIGTERM), process._restart())
    watch.end(act, lambda: None, replaces=True)
    """
    assert run(program)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_before_a_worker_runs_a_signal_ends_it_at_once(number: int) -> None:
    code, said = run(f"os.kill(os.getpid(), {number}); time.sleep(HANGS)")
    assert code == 0
    assert "told to stop" in said


def test_a_stop_that_hangs_is_cut_off() -> None:
    program = """
    process.STOP_SECONDS = 0.3
    watch.stop_cleanly = lambda: None
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(HANGS)
    """
    code, said = run(program)
    assert code == 0
    assert "not stopped after" in said


def test_a_second_signal_ends_it_at_once() -> None:
    program = """
    watch.stop_cleanly = lambda: os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(HANGS)
    """
    code, said = run(program)
    assert code == 0
    assert "told to stop again" in said


def test_nobody_who_reads_the_log_is_waited_for() -> None:
    unread, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 4096)
    os.set_blocking(full, True)
    began = time.monotonic()
    code, _ = run("began = time.monotonic(); end_process('bad')", stderr=full)
    assert code == 75
    assert time.monotonic() - began < HANGS_SECONDS / 2
    os.close(unread)
    os.close(full)


def test_no_lock_of_the_log_is_waited_for() -> None:
    program = """
    handler, held = logging.getLogger().handlers[0], threading.Event()
    threading.Thread(target=lambda: (handler.acquire(), held.set(), time.sleep(HANGS)), daemon=True).start()
    held.wait()
    began = time.monotonic()
    watch.end(lambda: (print(time.monotonic() - began, flush=True), os._exit(7)), lambda: logging.info("words"))
    """
    code, said = run(program)
    assert code == 7
    assert float(said) < HANGS_SECONDS / 2


def test_a_freeze_tells_nobody_to_stop() -> None:
    """Python's sigtimedwait says signal 0 then."""
    program = """
    frozen = os.getpid()
    if not (child := os.fork()):
        time.sleep(0.3)
        os.kill(frozen, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(frozen, signal.SIGCONT)
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.5)
    os._exit(9)
    """
    assert run(program)[0] == 9
