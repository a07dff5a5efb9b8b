"""Questions to one engine, one after the other in a thread of its own, and never waited for long."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from pintally.schemas.errors import Unavailable

T = TypeVar("T")

FIRST_SECONDS = 10.0  # for a connection and the first answer
PATIENCE_SECONDS = 2.5
GLANCE_SECONDS = 0.05  # an engine that did not answer the last time


class Slow(Unavailable):
    """The engine has not answered yet. Its answer is taken by a later look."""


class Asking(Generic[T]):
    """Asks in a thread. While an answer is still to come, no further question is put."""

    def __init__(self, name: str, whom: Callable[[], str] = str) -> None:
        """`whom` says which of several servers is asked now."""
        self._name, self._whom = name, whom
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ask-{name}")
        self._pending: asyncio.Future[T] | None = None
        self._late = False

    async def ask(self, question: Callable[[], T], patience: float = PATIENCE_SECONDS) -> T:
        """Returns the answer, or that of a question before it that was late. Raises what that raises, or Slow."""
        if self._pending is None:
            self._pending = asyncio.get_running_loop().run_in_executor(self._thread, question)
        done, _ = await asyncio.wait({self._pending}, timeout=GLANCE_SECONDS if self._late else patience)
        self._late = not done
        if not done:
            whom = f": {self._whom()}" if self._whom() else ""
            raise Slow(f"{self._name} has not answered for {patience:g} s{whom}", "See its log, and the network to it.")
        answered, self._pending = self._pending, None
        return answered.result()

    async def close(self, last: Callable[[], None]) -> None:
        """End the thread with this step; what still waits for an answer is left behind."""
        self._thread.submit(last)
        self._thread.shutdown(wait=False)
        if self._pending is not None:
            self._pending.add_done_callback(lambda done: done.cancelled() or done.exception())
