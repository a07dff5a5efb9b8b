"""What runs while the demo does: a worker and the live page, as processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from pintally.cli.console import progress
from pintally.schemas.errors import PintallyError
from pintally.tools.python import PINTALLY

START_SECONDS = 60.0


@contextmanager
def running(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends, or until this process dies in any way; its output goes to `log`."""
    from pintally.tools.engines.child import GUARD

    progress.print(f"\n[bold]$ pintally {' '.join(command)}[/bold]  (its log: {log})")
    log.parent.mkdir(parents=True, exist_ok=True)
    guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), "signal"]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*guarded, *PINTALLY, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; the guard stops the command when we close its input
        ) as process,
    ):
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()


def wait_until_served(page: subprocess.Popen[bytes], log: Path, served: str) -> None:
    """Return when the page answers at `served`, host:port. Raises PintallyError if it ended, or does not answer."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(served):
        if page.poll() is not None or time.monotonic() > deadline:
            raise PintallyError("`pintally serve` did not start", f"Read {log}.")
        time.sleep(0.1)


def _answers(served: str) -> bool:
    try:
        with urlopen(f"http://{served}/livez", timeout=2):
            return True
    except OSError:
        return False
