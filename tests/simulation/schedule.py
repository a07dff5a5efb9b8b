"""A schedule: what happens in a world, in an order that its seed decides; and how it ends."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from faust.types import TP

from tests.simulation.truth import Violation
from tests.simulation.worker import Worker
from tests.simulation.world import World

STEPS = (30, 150)
ROUNDS = 40  # in which live workers must come to the end once faults are over

# step: how often, compared with the others
WEIGHTS = {
    "produce": 12, "fetch": 22, "fold": 22, "tick": 12, "call": 50, "acknowledge": 14, "whole tick": 10, "fire": 4,
    "watch": 6, "commit": 2, "cancel": 1, "notice": 14, "rebalance": 3, "start": 3, "crash": 2, "sleep": 3, "wake": 3,
    "land": 3, "copy": 3, "restore": 1, "outage": 1,
}  # fmt: skip
FETCH_FAULTS = ("drop", "repeat", "stale")
READ_FAULTS = ("lost", "stale", "stale")
WRITE_FAULTS = ("lost", "halved", "halved", "silent", "later")
ACK_FAULTS = ("lost", "silent")


class Schedule:
    """Runs one seed. Raises whatever shows that something is not exact."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self._tell = tell
        self.faults = self.rng.choice((0.0, 0.05, 0.15, 0.3))
        self.world = World(self.rng, self._say)

    def _say(self, what: str, *args: object) -> None:
        if self._tell:
            self._tell(what % args)

    def run(self) -> None:
        """Chaos, then the end."""
        with self.world.edges(), _silence():
            world = self.world
            for _ in range(self.rng.randint(1, 3)):
                world.start()
            world.rebalance()
            steps = self.rng.choices(
                list(WEIGHTS), cum_weights=_CUMULATIVE, k=self.rng.randint(*STEPS)
            )
            for step in steps:
                world.now += 0.3
                getattr(self, "_" + step.replace(" ", "_"))()
            self._end()

    # steps; each does nothing where it cannot

    def _fault(self, kinds: tuple[str, ...]) -> str:
        return self.rng.choice(kinds) if self.rng.random() < self.faults else ""

    def _one(self, fits: Callable[[Worker], object]) -> Worker | None:
        fitting = [worker for worker in self.world.workers if not worker.asleep and fits(worker)]
        return self.rng.choice(fitting) if fitting else None

    def _produce(self) -> None:
        self.world.produce(self.rng.choice(list(self.world.logs)))

    def _fetch(self) -> None:
        ready = [(w, tp) for w in self.world.workers if not w.asleep for tp in self._fetchable(w)]
        if ready:
            self.world.poll(*self.rng.choice(ready), self._fault(FETCH_FAULTS))

    def _fetchable(self, worker: Worker) -> list[TP]:
        consumer = worker.consumer
        if not consumer.flowing or consumer.paused or len(consumer.queue) > 3:
            return []
        logs = self.world.logs
        return [tp for tp in sorted(consumer.assigned) if consumer.fetched[tp] < logs[tp].stable]

    def _fold(self) -> None:
        if worker := self._one(lambda w: w.consumer.queue):
            self.world.deliver(worker)

    def _tick(self) -> None:
        if worker := self._one(lambda w: len(w.ticks) < 2):
            self.world.tick(worker)

    def _whole_tick(self) -> None:
        if worker := self._one(lambda w: not w.ticks):
            self.world.tick(worker)
            self._drain(worker)

    def _call(self) -> None:
        if worker := self._one(lambda w: w.loop.jobs):
            if self.rng.random() < self.faults / 8:
                self.world.end(worker, "killed")
                return
            name = worker.loop.jobs[0].pending[0]
            kinds = WRITE_FAULTS if name.startswith("write") else READ_FAULTS
            self.world.call(worker, self._fault(kinds))

    def _acknowledge(self) -> None:
        if worker := self._one(lambda w: w.unacked):
            self.world.acknowledge(worker, self._fault(ACK_FAULTS))

    def _fire(self) -> None:
        if worker := self._one(lambda w: w.loop.timers):
            self.world.fire(worker)

    def _watch(self) -> None:
        self.world.now += 2.0
        if worker := self._one(lambda w: True):
            self.world.watch(worker)

    def _commit(self) -> None:
        if worker := self._one(lambda w: True):
            self.world.commit(worker)

    def _cancel(self) -> None:
        if self.faults and (worker := self._one(lambda w: w.ticks)):
            self._say("%s: a tick is cancelled", worker.name)
            task = self.rng.choice(worker.ticks)
            worker.run(task.cancel)
            worker.reap()

    def _notice(self) -> None:
        if worker := self._one(lambda w: w.joined < self.world.generation):
            self.world.notice(worker)

    def _rebalance(self) -> None:
        self.world.rebalance()

    def _start(self) -> None:
        if len(self.world.workers) < 4:
            self.world.start()
            self.world.rebalance()

    def _crash(self) -> None:
        if self.faults and (worker := self._one(lambda w: True)):
            self.world.end(worker, "killed")
            self.world.rebalance()

    def _sleep(self) -> None:
        if self.faults and (worker := self._one(lambda w: True)):
            self._say("%s is paused", worker.name)
            worker.asleep = True
            if self.rng.random() < 0.7:
                self.world.rebalance()

    def _wake(self) -> None:
        sleeping = [worker for worker in self.world.workers if worker.asleep]
        if sleeping:
            worker = self.rng.choice(sleeping)
            self._say("%s wakes up", worker.name)
            worker.asleep = False

    def _land(self) -> None:
        if self.world.sink.late:
            self.world.land()

    def _copy(self) -> None:
        if len(self.world.sink.known()) == len(self.world.logs):
            self.world.sink.copy()

    def _restore(self) -> None:
        if self.faults and self.world.sink.copies:
            self.world.restore()

    def _outage(self) -> None:
        self.world.sink.down = bool(self.faults) and not self.world.sink.down
        self._say("ClickHouse is %s", "down" if self.world.sink.down else "up")

    # the end

    def _end(self) -> None:
        """Faults are over. Either the live workers go on, or all but the paused are killed; then a fresh one."""
        world, self.faults = self.world, 0.0
        world.sink.down = False
        for part in world.logs.values():
            part.written = part.stable = part.log.end
        while world.sink.late and self.rng.random() < 0.7:
            world.land()
        world.sink.late.clear()
        if self.rng.random() < 0.5:
            self._say("the live workers come to the end")
            for worker in world.workers:
                worker.asleep = False
            self._finish()
            world.truth.check_end(world.sink, world.buried)
        self._say("a fresh worker comes to the end")
        zombies = [worker for worker in world.workers if worker.asleep]
        for worker in list(world.workers):
            if not worker.asleep:
                world.end(worker, "killed")
        self._finish()
        for worker in zombies:
            self._say("%s wakes up", worker.name)
            worker.asleep = False
            self._drain(worker)
        while world.sink.late:
            world.land()
        world.truth.check_end(world.sink, world.buried)

    def _finish(self) -> None:
        world = self.world
        for _ in range(ROUNDS):
            world.now += 3.0
            awake = [worker for worker in world.workers if not worker.asleep]
            if not awake:
                awake = [world.start()]
            if not set(world.given.values()) <= set(awake) or world.given.keys() != world.logs.keys():
                world.rebalance()
            for worker in awake:
                self._work(worker)
            if all(self._is_done(worker) for worker in awake) and world.given.keys() == world.logs.keys():
                return
        raise Violation(f"after {ROUNDS} rounds without a fault the workers have not come to the end")

    def _work(self, worker: Worker) -> None:
        """What a worker does in a while."""
        world = self.world
        self._drain(worker)
        if worker in world.workers and worker.joined < world.generation:
            world.notice(worker)
            self._drain(worker)
        while worker in world.workers and (worker.consumer.queue or (ready := self._fetchable(worker))):
            if not worker.consumer.queue:
                world.poll(worker, ready[0])
            world.deliver(worker)
        for step in (world.watch, world.tick, self._drain, world.watch):
            if worker in world.workers:
                step(worker)

    def _drain(self, worker: Worker) -> None:
        """Everything that waits is answered."""
        world = self.world
        while worker in world.workers:
            if worker.unacked:
                world.acknowledge(worker)
            elif worker.loop.jobs:
                world.call(worker)
            elif worker.loop.timers and not world.sink.down:
                world.fire(worker)
            else:
                return

    def _is_done(self, worker: Worker) -> bool:
        world = self.world
        if worker not in world.workers or worker.joined < world.generation or not worker.consumer.flowing:
            return False
        folds = {TP(fold.source.topic, fold.source.partition): fold for fold in worker.tables.folds()}
        mine = {tp for tp, owner in world.given.items() if owner is worker}
        at_end = all(folds[tp].position == world.logs[tp].log.end for tp in mine)
        return at_end and not worker.ticks and worker.emitter.unemitted_cells == 0


_CUMULATIVE = [sum(list(WEIGHTS.values())[: i + 1]) for i in range(len(WEIGHTS))]


@contextmanager
def _silence() -> Iterator[None]:
    """A schedule says what happens in its own words."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
