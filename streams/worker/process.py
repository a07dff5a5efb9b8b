"""How a worker ends: as it is told to, to restart, or for a person to act.

Any thread may call `end_process` and `refuse`, which end it at once, without another flush and without Faust's stop.
Neither returns, and neither waits for a lock, a thread or a reader of the log for longer than half a second. Who was
told to stop never restarts.

A thread of its own takes SIGTERM and SIGINT, and ends the process when its time is over, whatever else hangs. All other
threads have the two signals blocked: a busy loop, a lock that is held or a framework that waits delays nothing. A
signal that comes while the process is replaced by a fresh one stays pending, and that one takes it.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from pintally.schemas.errors import TRY_AGAIN, PintallyError
from pintally.streams.worker import supervisor
from pintally.streams.worker.counters import counters

log = logging.getLogger(__name__)

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
STOP_SECONDS = 10.0  # for a clean end: the last flush, and a word to the group
SAY_SECONDS = 0.5  # for the last words: who reads the log may have stopped reading
ACT_SECONDS = 1.0
POLL_SECONDS = 0.05
RESTARTED = "PINTALLY_RESTARTED"  # in the environment: how often in a row a worker took its own place
STEADY_SECONDS = 20.0  # who counts so long does not end in a row
LONGEST_PAUSE_SECONDS = 60.0

command: tuple[str, ...] = ()  # how `pintally worker` was started; empty under another supervisor
_began = time.monotonic()


class Watch:
    """Who was told to stop ends within 10 s; who has to end, at its time."""

    def __init__(self) -> None:
        self.told_at: float | None = None
        self.for_good = False  # a person at a terminal stopped it (SIGINT), and no supervisor will start it again
        self.stop_cleanly: Callable[[], None] | None = None  # asks the running worker to stop; None before it runs
        self.leaving: Callable[[], None] = lambda: None  # the last thing before an end that was asked for
        self.refusing: Callable[[PintallyError], None] = lambda _: None  # keeps why it ends, for a person
        self._end: Callable[[], None] | None = None  # replaces the process
        self._taken = threading.Lock()  # by the first who has the process end; never waited for
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Take signals from now on; to be called by the main thread, before others are started.

        Faust's own command has loaded libraries with threads by then: what the system gives to one of those is taken by
        a handler, which waits for the main thread.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if not self._thread:
            for number in SIGNALS:
                signal.signal(number, lambda taken, _: self._tell(signal.Signals(taken).name))
            self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
            self._thread.start()

    @property
    def told(self) -> bool:
        """Whether the process was told to stop."""
        return self.told_at is not None

    def end(self, act: Callable[[], None], say: Callable[[], None], *, replaces: bool = False) -> None:
        """Call `say`, for half a second at most, then `act`, which ends the process. The first caller decides.

        An `act` that replaces the process is called by the thread that takes the signals: no other can be sure that
        none is lost on the way.
        """
        if not self._taken.acquire(blocking=False):
            time.sleep(2 * ACT_SECONDS)  # another thread is about to end the process
        briefly(say)
        if replaces and self._thread:
            self._end = act
            self._thread.join(ACT_SECONDS)
        act()

    def _run(self) -> None:
        while True:
            taken = signal.sigtimedwait(SIGNALS, POLL_SECONDS)
            if taken and taken.si_signo in SIGNALS:  # after a freeze Python says signal 0
                self._tell(signal.Signals(taken.si_signo).name)
            if self._end:
                self._end()
            if self.told_at is not None and time.monotonic() - self.told_at > STOP_SECONDS:
                leave_as_told(f"not stopped after {STOP_SECONDS:.0f} s: it ends all the same")

    def _tell(self, name: str) -> None:
        if self.told_at is not None:
            leave_as_told(f"told to stop again ({name}): it ends at once")
        self.told_at, self.for_good = time.monotonic(), name == signal.SIGINT.name
        supervisor.tell(STOPPING="1")
        if not self.stop_cleanly:
            leave_as_told(f"told to stop ({name})")
        else:
            briefly(lambda: log.info("told to stop (%s)", name))
            self.stop_cleanly()


watch = Watch()


def leave_as_told(words: str) -> None:
    """End the process, which was told to stop: exit code 0. What was not flushed the next worker folds again."""
    briefly(lambda: log.info("this worker ends: %s; what is not flushed the next worker folds again", words))
    with suppress(OSError):
        watch.leaving()
    os._exit(0)


def briefly(say: Callable[[], None]) -> None:
    """Call `say` and flush what it said, but wait no longer than half a second for it."""

    def speak() -> None:
        say()
        sys.stdout.flush()
        sys.stderr.flush()

    speaker = threading.Thread(target=speak, name="last words", daemon=True)
    try:
        speaker.start()
    except RuntimeError:  # no thread can be started any more
        return
    speaker.join(SAY_SECONDS)


def end_process(reason: str) -> None:
    """Replace this process by a fresh worker (`pintally worker`), or exit 75 for the supervisor to start one."""
    if watch.told:
        leave_as_told(reason)

    def say() -> None:
        log.critical("this worker restarts: %s", reason, extra={"reason": reason})
        counters.set("ready", 0)
        counters.add("restarts")

    watch.end(_restart, say, replaces=bool(command))


def refuse(error: PintallyError) -> None:
    """End with the exit code of the error: 2 where starting again would not help until a person has acted."""
    code = error.exit_code

    def say() -> None:
        log.critical(
            "this worker ends: %s. %s", error.what, error.remedy,
            extra={"reason": error.what, "remedy": error.remedy, "exit_code": code},
        )  # fmt: skip
        counters.add("refusals")
        if code == PintallyError.exit_code:
            watch.refusing(error)

    watch.end(lambda: os._exit(0 if watch.told else code), say)


def restarts() -> int:
    """How often in a row workers took their own place before this one."""
    return int(os.environ.get(RESTARTED, "0"))


def pause(sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait before counting begins, longer for each worker in a row that ended by itself: 0, 1, 2, 4, ... 60 s."""
    global _began
    if restarts() > 1:
        seconds = min(2.0 ** (restarts() - 2), LONGEST_PAUSE_SECONDS)
        log.warning(
            "workers ended %d times in a row: this one waits %.0f s before it starts", restarts(), seconds,
            extra={"restarts": restarts(), "seconds": seconds},
        )  # fmt: skip
        sleep(seconds)
    _began = time.monotonic()


def _restart() -> None:
    if watch.told:
        os._exit(0)
    if command:
        in_a_row = restarts() + 1 if time.monotonic() - _began < STEADY_SECONDS else 1
        os.environ[RESTARTED] = str(in_a_row)
        with suppress(OSError):  # Python itself was upgraded away: the supervisor may know better
            os.execv(command[0], command)
    os._exit(TRY_AGAIN)
