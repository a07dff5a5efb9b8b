"""Runs one engine and stops it when its parent wants or dies. A program of its own: standard library only.

`guard.py PARENT_PID terminal|signal COMMAND...` prints the engine's process id, then ends as the engine ends. It stops
the engine cleanly when standard input is closed or the parent is gone, by whatever signal it died. With `terminal` the
engine's standard input is a pseudo-terminal, and the clean stop is end of input; with `signal` it is SIGTERM.
"""

import ctypes
import os
import pty
import select
import signal
import subprocess
import sys

CLEAN_STOP_S = 25
PR_SET_PDEATHSIG = 1
END_OF_INPUT = b"\x04"


def end_with_guard() -> None:
    """Runs in the engine before it starts: should the guard itself be killed, the kernel ends the engine."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def is_wanted(parent: int) -> bool:
    """Waits a moment; false once standard input is closed or the parent has died."""
    closed, _, _ = select.select([0], [], [], 0.1)
    return os.getppid() == parent and not (closed and not os.read(0, 1))


def main(parent: int, stop: str, command: list[str]) -> int:
    """Guard `command`; returns its exit status, 128 + n for signal n."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ours, theirs = pty.openpty()
    # Its own session: ClickHouse's SYSTEM SHUTDOWN kills the process group. Its output goes to the guard's stderr.
    engine = subprocess.Popen(  # the guard has one thread, so preexec_fn is safe
        command,
        stdin=theirs if stop == "terminal" else subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
        preexec_fn=end_with_guard,
    )
    os.close(theirs)
    print(engine.pid, flush=True)
    while engine.poll() is None and is_wanted(parent):
        pass
    if engine.poll() is None:
        if stop == "terminal":
            os.write(ours, END_OF_INPUT)
        else:
            engine.terminate()
        try:
            engine.wait(CLEAN_STOP_S)
        except subprocess.TimeoutExpired:
            engine.kill()
    status = engine.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
