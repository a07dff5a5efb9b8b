"""Actors in turns: each runs real code in its own thread, and waits before each statement until it may go on."""

import threading
from collections.abc import Callable
from typing import Any


class Killed(BaseException):
    """An actor's process ends before a statement."""


class Actor(threading.Thread):
    """Runs a function, and waits before each of its statements until it may go on."""

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self.function = function
        self.statement = ""  # the one it waits to execute
        self.arguments: Any = None
        self.error: BaseException | None = None
        self._go, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._kill = False
        self.start()
        self._waits.acquire()

    def run(self) -> None:
        """The thread."""
        current.actor = self
        try:
            self.function()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001  the schedule tells it
            self.error = error
        self.statement = ""
        self._waits.release()

    def wait(self, statement: str, arguments: Any) -> None:
        """Called before each statement, in the thread."""
        self.statement, self.arguments = statement, arguments
        self._waits.release()
        self._go.acquire()
        if self._kill:
            raise Killed

    def step(self, kill: bool = False) -> None:
        """Let it execute its statement, and run to the next one."""
        self._kill = kill
        self._go.release()
        self._waits.acquire()
        if not self.statement:
            self.join()
        if self.error:
            raise self.error


current = threading.local()
