"""One worker of a simulation: the real fold, tables, flushing, recovery and flow; Kafka and ClickHouse are the world's.

What `streams.worker.app` and Faust wire together is wired here by hand; see the comments beside each piece.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError
from faust.types import TP

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.worker.agents import count_chunk
from pintally.streams.worker.backpressure import Backpressure
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.flush import LEDGER_CHECK_INTERVAL_SECONDS, Flusher
from pintally.streams.worker.table import CellTable, Refold, SourceTables
from pintally.streams.worker.transport import ChunkConsumer
from tests.simulation.loop import SimLoop
from tests.support.letter_batches import LetterBatch

if TYPE_CHECKING:
    from tests.simulation.world import SimSettings, World

FLUSH_WRITES = ("write_cells", "write_dead_letters", "write_ledger")


class WorkerEnds(Exception):
    """`streams.worker.process.refuse` or `end_process` in the real worker."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def ends(error: PintallyError) -> None:
    """Stands for `streams.worker.process.refuse`."""
    raise WorkerEnds(error.what, error.remedy) from error


def starts_anew(reason: str) -> None:
    """Stands for `streams.worker.process.end_process`."""
    raise WorkerEnds(reason, "")


class Table(CellTable):
    """The real table without Faust's machinery."""

    def __init__(self, app: Any, action: Action) -> None:
        self.app = app
        self.action = action
        self.topic = app.settings.topics.names[action]
        self.folds: dict[int, SourceFold] = {}


class Tables(SourceTables):
    """All tables of a worker."""

    def __init__(self, tables: list[Table]) -> None:
        self.data = {table.topic: table for table in tables}


class Recovery(Refold):
    """What happens on an assignment."""

    log = SimpleNamespace(warning=lambda *_: None)

    def __init__(self, app: Any, tables: Tables) -> None:
        self.app = app
        self.tables = tables

    async def assign(self) -> None:
        """As `on_recovery_completed`, without Faust's waiting for what rebalances it."""
        await self._assign()
        await self.app.consumer.perform_seek()
        self.app.consumer.flowing = True


class Consumer:
    """Fetch positions, and the chunks that wait for their agents."""

    perform_seek = ChunkConsumer.perform_seek
    seek_to_folds = ChunkConsumer.seek_to_folds

    def __init__(self, app: Any) -> None:
        self.app = app
        self.assigned: set[TP] = set()
        self.flowing = False
        self.paused: set[TP] = set()
        self.fetched: dict[TP, int] = {}
        self.queue: deque[Chunk] = deque()

    def assignment(self) -> set[TP]:
        return self.assigned

    def stay(self) -> None:
        """Groups of the simulation wait for a worker that waits."""

    def fetch_position(self, tp: TP) -> int | None:
        return self.fetched.get(tp)

    def pause(self, tps: Iterable[TP]) -> None:
        self.paused = set(tps)

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        if not self.assigned.issuperset(positions):
            raise IllegalStateError("a seek of a partition that is not assigned")
        self.fetched.update(positions)


class Worker:
    """A process. All that it has in memory is gone when the world drops it."""

    def __init__(self, world: "World", name: str, settings: "SimSettings", sink: Any) -> None:
        self.world = world
        self.name = name
        self.loop = SimLoop()  # type: ignore[abstract]  # has what counting needs
        self.asleep = False
        self.is_out = False  # the group gave it up: it ends when it notices
        self.is_misled = (
            False  # it began by what may not hold: while the rules changed, by a stale read, or with wrong settings
        )
        self.joined = 0  # epoch of the group as this worker knows it
        self.flushes: list[asyncio.Task[bool]] = []
        self.assigning: asyncio.Task[None] | None = None
        self.unacked: list[tuple[asyncio.Future[None], str, LetterBatch]] = []
        self.app: Any = SimpleNamespace(settings=settings, sink=sink, queued=self._queued)
        self.consumer = self.app.consumer = Consumer(self.app)
        actions = sorted({log.action for log in world.logs.values()})
        self.tables = self.app.tables = Tables([Table(self.app, action) for action in actions])
        self.recovery = Recovery(self.app, self.tables)
        self.flusher = self.app.flusher = Flusher(
            sink, DeadLetterTopics(lambda: self), self.tables.folds, self._lag, settings.worker.max_pending_cells
        )
        self.app.backpressure = Backpressure(self.app)

    @property
    def is_busy(self) -> bool:
        """Whether there is something to do, now or once there are records."""
        return bool(self.consumer.assigned or self.joined < self.world.epoch or self.loop.jobs or self.unacked)

    @property
    def looks(self) -> bool:
        """Whether a flush with nothing to flush would look at the ledger."""
        return self.world.now - self.flusher._looked >= LEDGER_CHECK_INTERVAL_SECONDS

    @property
    def is_writing(self) -> bool:
        """Whether it waits for the answer to an insert of a flush."""
        return any(job.pending and job.pending[0] in FLUSH_WRITES for job in self.loop.jobs)

    def run(self, begin: Callable[[], Any] | None = None) -> Any:
        """Do something, and whatever follows from it until all waits for the schedule."""
        asyncio._set_running_loop(self.loop)
        try:
            result = begin() if begin else None
            self.loop.run()
        finally:
            asyncio._set_running_loop(None)
        return result

    def start_flush(self) -> None:
        """The timer, or the stop of the app beside it."""
        self.flushes.append(self.run(lambda: self.loop.create_task(self.flusher.flush())))
        self.reap()

    def assign(self, assigned: set[TP], joined: int) -> None:
        """The group gave out its partitions anew."""
        self.joined = joined
        if self.assigning:  # Faust leaves off a recovery that a rebalance has overtaken
            self.assigning.cancel()
            self.run()
        self.consumer.assigned = set(assigned)
        self.consumer.fetched = {tp: at for tp, at in self.consumer.fetched.items() if tp in assigned}
        self.consumer.flowing = False
        self.assigning = self.run(lambda: self.loop.create_task(self.recovery.assign()))
        self.reap()

    def deliver(self) -> None:
        """An agent takes the next chunk."""
        chunk = self.consumer.queue.popleft()
        self._now(count_chunk(self.app, self.tables.data[chunk.topic], chunk))

    def watch(self) -> None:
        """The timer that looks for sources that are stuck; and the look at memory that follows each flush."""
        if not self.assigning:
            self._now(self.app.backpressure.seek_stuck())
        self.app.backpressure.pause_if_full()

    def reap(self) -> None:
        """Look at what has ended; raises what a task has raised."""
        done: list[asyncio.Task[Any]] = [task for task in self.flushes if task.done()]
        self.flushes = [task for task in self.flushes if not task.done()]
        if self.assigning and self.assigning.done():
            done.append(self.assigning)
            self.assigning = None
        for task in done:
            if not task.cancelled() and (error := task.exception()):
                raise error

    def close(self) -> None:
        """Leave no task behind; the memory it ends in is gone."""
        for task in self.loop.tasks:
            task.cancel()
        self.run()

    def create_batch(self) -> LetterBatch:
        """The producer of dead letters: two or three of them fill a batch."""
        return LetterBatch(full=1_000)

    async def partitions_for(self, _topic: str) -> set[int]:
        """Of its topics."""
        return {0}

    async def send_batch(self, batch: LetterBatch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        """Where it sends them."""
        assert partition == 0
        future: asyncio.Future[None] = self.loop.create_future()
        self.unacked.append((future, topic, batch))
        return future

    def _now(self, coro: Coroutine[Any, Any, None]) -> None:
        """Run what never waits."""
        asyncio._set_running_loop(self.loop)
        try:
            coro.send(None)
        except StopIteration:
            return
        finally:
            asyncio._set_running_loop(None)
        raise AssertionError("it waits")

    def _queued(self, topic: str) -> bool:
        return any(chunk.topic == topic for chunk in self.consumer.queue)

    def _lag(self, fold: SourceFold) -> int:
        return self.world.logs[TP(fold.source.topic, fold.source.partition)].stable - fold.position
