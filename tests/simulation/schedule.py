"""A schedule: what happens in a world, in an order that its seed decides; and how it ends."""

from collections.abc import Callable
from random import Random

from faust.types import TP

from pintally.streams.worker.flush import LEDGER_CHECK_INTERVAL_SECONDS
from tests.simulation.kinds import kind_of
from tests.simulation.truth import Violation
from tests.simulation.worker import Worker
from tests.simulation.world import LOST, REPAIR, World

STEPS = (30, 110)
ROUNDS = 40  # in which live workers must come to the end once faults are over
ROUND_SECONDS = LEDGER_CHECK_INTERVAL_SECONDS + 5  # each worker looks at the ledger in each, even with nothing to flush
WORLD = 0.1  # share of the steps in which the world acts, not a worker
IN_TURN = 0.3  # share of the schedules with faults in which sources come to their ends one after the other

FETCH_FAULTS = ("drop", "repeat", "stale")
READ_FAULTS = ("lost", "stale", "stale")
WRITE_FAULTS = ("lost", "halved", "halved", "silent", "later")
ACK_FAULTS = ("lost", "silent")
COMMAND_FAULTS = ("lost", "silent")
MOST_CHANGES, MOST_DAMAGES, MOST_TRIMS = 3, 2, 2

Act = Callable[[], None]


class Schedule:
    """Runs one seed. Raises whatever shows that something is not exact."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self._tell = tell
        self.faults = self.rng.choice((0.0, 0.05, 0.15, 0.3))
        self.answers = self.rng.choice((8, 8, 1))  # how soon calls are answered, beside what else a worker does
        self.drains = self.rng.choice((0.7, 0.1))  # share of assignments and flushes of which all is answered at once
        self.world = World(self.rng, self._say, kind_of(seed))

    def _say(self, what: str, *args: object) -> None:
        if self._tell:
            self._tell(what % args)

    def run(self) -> None:
        """Chaos, then the end."""
        with self.world.edges():
            world = self.world
            for _ in range(self.rng.randint(1, 3)):
                world.start()
            world.rebalance()
            for _ in range(self.rng.randint(*STEPS)):
                world.now += 0.3
                world.servers.step()
                self._step()
            self._end()

    # steps

    def _step(self) -> None:
        awake = [worker for worker in self.world.workers if not worker.asleep]
        busy: list[Worker | None] = [worker for worker in awake if worker.is_busy]
        busy += [None] * bool(self.world.command)
        if not busy or self.rng.random() < WORLD:
            possible = self._world_acts(awake)
        elif (worker := self.rng.choice(busy)) is None:
            possible = [(self._command, 1)]
        else:
            possible = self._worker_acts(worker)
        self.rng.choices([act for act, _ in possible], [often for _, often in possible])[0]()

    def _worker_acts(self, worker: Worker) -> list[tuple[Act, float]]:
        """What a worker can do next, and how often it does so, compared with the rest."""
        world, fetchable = self.world, self._fetchable(worker)
        possible: list[tuple[Act, float]] = [(lambda: self._watch(worker), 0.4), (lambda: world.commit(worker), 0.1)]
        if worker.joined < world.epoch:
            possible.append((lambda: self._notice(worker), 1 if worker.is_out else 4))
        if worker.loop.jobs:
            possible.append((lambda: self._call(worker), self.answers))
        if worker.unacked:
            possible.append((lambda: world.acknowledge(worker, self._fault(ACK_FAULTS)), 8))
        if worker.loop.timers:
            possible.append((lambda: world.fire(worker), 3))
        if fetchable:
            possible.append((lambda: world.poll(worker, self.rng.choice(fetchable), self._fault(FETCH_FAULTS)), 6))
        if worker.consumer.queue:
            possible.append((lambda: world.deliver(worker), 10))
        if len(worker.flushes) < 2 and (worker.flusher.pending_cells or worker.looks):
            possible.append((lambda: self._flush(worker), 0.5 if worker.flushes else 4))
        if worker.flushes and self.faults:
            possible.append((lambda: self._cancel(worker), 0.2))
            if worker.consumer.assigned and worker.joined == world.epoch:
                possible.append((lambda: world.flicker(worker), 0.3))
        return possible

    def _world_acts(self, awake: list[Worker]) -> list[tuple[Act, float]]:
        """The same of the world; what does damage only in schedules with faults."""
        world, servers = self.world, self.world.servers
        unwritten = [tp for tp, part in world.logs.items() if part.stable < part.end]
        asleep = [worker for worker in world.workers if worker.asleep]
        possible: list[tuple[Act, float]] = [(self._rebalance, 0.7)]
        if unwritten:
            possible.append((lambda: world.produce(self.rng.choice(unwritten)), 6))
        if len(world.workers) < 4:
            possible.append((self._start, 1 if awake or world.command else 10))
        if asleep:
            possible.append((lambda: self._wake(self.rng.choice(asleep)), 3))
        if servers.late:
            possible.append((world.land, 3))
        if servers.is_down:
            possible.append((lambda: self._outage(False), 6))
        if whole := [sink for sink in servers.each if len(sink.copies) < 3 and sink.is_whole]:
            possible.append((lambda: servers.choose(whole).copy(), 2))
        if LOST in world.remedy and not world.command:
            possible.append((world.give_up, 4))
        if world.truth.is_damaged and not world.command:
            possible.append((world.repair, 2))
        if world.changing and not world.command:
            possible.append((world.apply_rules, 3))
            if world.can_abandon:
                possible.append((world.abandon_change, 1))
        if self.faults:
            possible.append((lambda: self._outage(True), 0.3))
            if world.damages < MOST_DAMAGES and not world.command and not world.trims:
                possible.append((world.damage, 0.3))
            if servers.are_many and len(world.workers) < 4:
                possible.append((self._start_misplaced, 1.5))
            if self._may_trim:
                possible.append((world.trim, 3 if world.is_writing else 0.2))
            if self._may_change:
                possible.append((world.change_rules, 6 if world.is_writing else 0.5))
            if awake:
                possible.append((lambda: self._crash(self.rng.choice(awake)), 1.5))
                possible.append((lambda: self._sleep(self.rng.choice(awake)), 1.5))
            if servers.copies:
                possible.append((world.restore, 2))
        return possible

    @property
    def _may_change(self) -> bool:
        return self.world.changes < MOST_CHANGES and not self.world.changing

    @property
    def _may_trim(self) -> bool:
        """Where several servers share the pins, losses cannot be accepted: logs outlive the oldest copy."""
        world = self.world
        return world.trims < MOST_TRIMS and not (world.command or world.damages or world.servers.are_many)

    def _fault(self, kinds: tuple[str, ...]) -> str:
        return self.rng.choice(kinds) if self.rng.random() < self.faults else ""

    def _fetchable(self, worker: Worker) -> list[TP]:
        consumer = worker.consumer
        if not consumer.flowing or len(consumer.queue) > 3:
            return []
        logs = self.world.logs
        unpaused = sorted(consumer.assigned - consumer.paused)
        return [tp for tp in unpaused if consumer.fetched[tp] < logs[tp].stable]

    def _call(self, worker: Worker) -> None:
        """A crash is as likely before a call as after one that failed."""
        write = any(job.pending and job.pending[0].startswith("write") for job in worker.loop.jobs)
        fault = self._fault(WRITE_FAULTS if write else READ_FAULTS)
        if fault and self.rng.random() < 0.1:
            self.world.end(worker, "killed before a call")
            return
        self.world.call(worker, fault)
        if fault and worker in self.world.workers and self.rng.random() < 0.1:
            self.world.end(worker, "killed after a call")

    def _command(self) -> None:
        fault = self._fault(COMMAND_FAULTS)
        if fault and self.rng.random() < 0.5:
            self.world.kill_command()
        else:
            self.world.command_call(fault)
        if not self.world.command:
            self._belated()

    def _belated(self) -> None:
        """What was on its way while the rules changed may arrive before anybody counts by the new ones: it is
        superseded.

        Or the change was a mistake, and who sleeps through it and its reversal finds the rules that it knows.
        """
        world = self.world
        if self._may_change and world.can_revert and self.rng.random() < 0.4:
            world.change_rules(revert=True)
        elif self.rng.random() < 0.5:
            world.land_some()
            for worker in [worker for worker in world.workers if worker.asleep and worker.is_writing]:
                self._wake(worker)
                self._drain(worker)

    def _notice(self, worker: Worker) -> None:
        self.world.notice(worker)
        if self.rng.random() < self.drains:
            self._drain(worker)

    def _flush(self, worker: Worker) -> None:
        self.world.flush(worker)
        if self.rng.random() < self.drains:
            self._drain(worker)

    def _watch(self, worker: Worker) -> None:
        self.world.now += 2.0
        self.world.watch(worker)

    def _cancel(self, worker: Worker) -> None:
        self._say("%s: a flush is cancelled", worker.name)
        worker.run(self.rng.choice(worker.flushes).cancel)
        worker.reap()

    def _rebalance(self) -> None:
        self.world.rebalance()

    def _start(self) -> None:
        self.world.start()
        self.world.rebalance()

    def _start_misplaced(self) -> None:
        """Somebody starts a worker whose settings may name the shards in another order."""
        self.world.start(self.world.servers.any_order())
        self.world.rebalance()

    def _crash(self, worker: Worker) -> None:
        self.world.end(worker, "killed")
        self.world.rebalance()

    def _sleep(self, worker: Worker) -> None:
        self._say("%s is paused", worker.name)
        worker.asleep = True
        if self.rng.random() < 0.7:
            self.world.rebalance()

    def _wake(self, worker: Worker) -> None:
        self._say("%s wakes up", worker.name)
        worker.asleep = False

    def _outage(self, down: bool) -> None:
        servers = self.world.servers
        servers.go_down() if down else servers.come_up()
        self._say("ClickHouse is %s", "down" if down else "up")

    # the end

    def _end(self) -> None:
        """Faults are over. Either the live workers go on, or all but the paused are killed, and a fresh one does."""
        world, had_faults, self.faults = self.world, self.faults > 0, 0.0
        world.servers.calm()
        world.land_some()
        self._end_change()
        if had_faults:
            self._last_changes()
        world.land_some()
        world.servers.nothing_comes()
        self._end_change()  # a start row that was on its way may be of rules that had been given up
        in_turn = had_faults and self.rng.random() < IN_TURN
        if in_turn:
            self._end_in_turn()
        for tp in world.logs:
            world.complete(tp)
        if in_turn or self.rng.random() < 0.5:
            self._end_alive()
        else:
            self._end_afresh()
        if world.damages:
            self._repair()
        for sink in world.servers.each:
            sink.apply("delete_superseded")  # as sealing does
            sink.check_end()

    def _repair(self) -> None:
        """Once workers have come to the end, nothing is left to wait for."""
        world = self.world
        world.truth.is_damaged = True
        world.land_some()
        world.servers.nothing_comes()
        world.repair()
        self._run_command()
        if world.truth.is_damaged:
            raise Violation("repair has left something")

    def _last_changes(self) -> None:
        """The rules may change once more, in the middle of a flush, and back again."""
        world = self.world
        if self._may_change and world.is_writing and self.rng.random() < 0.5:
            world.change_rules()
            self._end_change()
        if self._may_change and world.can_revert and self.rng.random() < 0.3:
            world.change_rules(revert=True)
            self._end_change()

    def _end_change(self) -> None:
        """A change of rules that is not done by now is carried out, or given up while that can be."""
        world = self.world
        self._run_command()
        for _ in range(ROUNDS):
            if not world.changing:
                return
            if world.can_abandon and self.rng.random() < 0.5:
                world.abandon_change()
            else:
                world.apply_rules()
                self._run_command()
            if world.changing:  # a hole is in the way, or the log is gone
                world.remedy = world.remedy or REPAIR
                self._do_as_told()
        raise Violation("rules apply and repair wait for each other")

    def _do_as_told(self) -> None:
        """Run `repair`, or `accept-loss`, when a worker has refused to begin and named it.

        If ledger rows below an epoch start were deleted, no worker has the rules of that hole. Each worker ends, and so
        does each one that is started in its place, until a person runs the command that they name.
        """
        world, remedy = self.world, self.world.remedy
        world.remedy = ""
        if LOST in remedy:
            world.give_up()
        elif REPAIR in remedy:
            world.repair()
        self._run_command()

    def _run_command(self) -> None:
        while self.world.command:
            self.world.command_call()

    def _end_in_turn(self) -> None:
        """While a source is idle ClickHouse forgets it, and there is news of another one.

        Nothing else would tell a worker: nobody joins or leaves, and whoever flushes does not look any further.
        """
        self._say("sources come to their ends one after the other")
        world = self.world
        self._wake_all()
        for tp in self.rng.sample(list(world.logs), len(world.logs)):
            self._finish()
            if self.rng.random() < 0.7:
                world.forget_flush()
            world.complete(tp)

    def _end_alive(self) -> None:
        self._say("the live workers come to the end")
        self._wake_all()
        self._finish()

    def _wake_all(self) -> None:
        for worker in self.world.workers:
            worker.asleep = False

    def _end_afresh(self) -> None:
        """Who sleeps wakes up when all is done, finishes what it had begun, and must change nothing by it."""
        self._say("a fresh worker comes to the end")
        for worker in list(self.world.workers):
            if not worker.asleep:
                self.world.end(worker, "killed")
        self._finish()
        for worker in [worker for worker in self.world.workers if worker.asleep]:
            self._wake(worker)
            self._drain(worker)
        while self.world.servers.late:
            self.world.land()

    def _finish(self) -> None:
        world, self.world.remedy = self.world, ""
        for _ in range(ROUNDS):
            world.now += ROUND_SECONDS
            awake = [worker for worker in world.workers if not worker.asleep]
            if not awake:
                awake = [world.start()]
            self._do_as_told()
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
        if worker in world.workers and worker.joined < world.epoch:
            world.notice(worker)
            self._drain(worker)
        while worker in world.workers and (worker.consumer.queue or (ready := self._fetchable(worker))):
            if not worker.consumer.queue:
                world.poll(worker, ready[0], most=40)
            world.deliver(worker)
        for step in (world.flush, self._drain, world.watch):
            if worker in world.workers:
                step(worker)

    def _drain(self, worker: Worker) -> None:
        """Everything that waits is answered, one way or the other."""
        world = self.world
        while worker in world.workers:
            if worker.unacked:
                world.acknowledge(worker, self._fault(ACK_FAULTS))
            elif worker.loop.jobs:
                self._call(worker)
            elif worker.loop.timers and not world.servers.is_down:
                world.servers.step()  # while a worker sleeps, a replica that was away may come back
                world.fire(worker)
            else:
                return

    def _is_done(self, worker: Worker) -> bool:
        world = self.world
        if worker not in world.workers or worker.joined < world.epoch or not worker.consumer.flowing:
            return False
        folds = {TP(fold.source.topic, fold.source.partition): fold for fold in worker.tables.folds()}
        mine = {tp for tp, owner in world.given.items() if owner is worker}
        at_end = all(folds[tp].position == world.logs[tp].stable for tp in mine)
        return at_end and not worker.flushes and worker.flusher.pending_cells == 0
