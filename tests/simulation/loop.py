"""An event loop without time, threads and sockets: what would wait, waits for the schedule."""

# mypy: disable-error-code="override"
import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any


class Suspended(BaseException):
    """A blocking function has come to a call that has no answer yet. Not an Exception: nothing may catch it."""


class Job:
    """A blocking function that runs in a thread of the real worker: here it advances from call to call.

    It is replayed: run from its beginning with the answers that its calls have had, until it comes to the first call
    without one. So it must be pure but for these calls, and between two of them anything else may happen.
    """

    current: "Job | None" = None

    def __init__(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.function = function
        self.future = future
        self.stale = False  # some answer was out of date
        self.pending: tuple[Any, ...] | None = None  # the call that waits for its answer
        self._answers: list[Any] = []  # so far
        self._next = 0
        self._run()

    @property
    def is_orphan(self) -> bool:
        """Whether nobody waits for it any more. A thread goes on all the same."""
        return self.future.cancelled()

    def call(self, *what: Any, at_once: Callable[[], Any] | None = None) -> Any:
        """The answer to the next call; called from inside of `function`. `at_once` gives it without a wait."""
        if self._next == len(self._answers):
            if not at_once:
                self.pending = what
                raise Suspended
            self._answers.append(at_once())
        answer = self._answers[self._next]
        self._next += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def answer(self, answer: Any) -> None:
        """Answer the pending call, with an exception to have it raised, and run on to the next one."""
        self._answers.append(answer)
        self._run()

    def _run(self) -> None:
        self.pending, self._next, Job.current = None, 0, self
        try:
            result = self.function()
        except Suspended:
            return
        except Exception as error:  # noqa: BLE001  whoever awaits the thread gets it
            if not self.future.done():
                self.future.set_exception(error)
        else:
            if not self.future.done():
                self.future.set_result(result)
        finally:
            Job.current = None


def blocking_call(*what: Any, at_once: Callable[[], Any] | None = None) -> Any:
    """A call to the world from inside of a job; its answer is the schedule's to give."""
    assert Job.current, "only a job may call the world"
    return Job.current.call(*what, at_once=at_once)


class SimLoop(asyncio.AbstractEventLoop):
    """The loop of one worker: of a real one's methods only those that the counting path needs."""

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self.timers: list[asyncio.TimerHandle] = []
        self.jobs: list[Job] = []
        self.tasks: list[asyncio.Task[Any]] = []  # those that were not done when the last one began

    def run(self) -> None:
        """Run until everything waits for the schedule."""
        while self._ready:
            step = self._ready.popleft()
            if not step.cancelled():
                step._run()
        self.jobs = [job for job in self.jobs if job.pending]
        self.timers = [timer for timer in self.timers if not timer.cancelled()]

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(delay, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def fire(self, timer: asyncio.TimerHandle) -> None:
        """The time of a timer has come."""
        self.timers.remove(timer)
        self._ready.append(timer)

    def run_in_executor(self, _executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()
        self.jobs.append(Job(lambda: func(*args), future))
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **kwargs)
        self.tasks = [*(task for task in self.tasks if not task.done()), task]
        return task

    def call_exception_handler(self, context: Any) -> None:
        """What nobody awaits any more is of no interest: a worker that was killed."""

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: Any) -> None:
        pass
