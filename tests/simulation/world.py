"""The world of a simulation: Kafka, its group, ClickHouse, time, and the workers that live in it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks import maintained_shards as maintained
from pintally.sinks import shards as sharded
from pintally.streams.counting import fold
from pintally.streams.counting.aggregates import slice_arms, slice_labels
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.operations.change import cluster_state
from pintally.streams.worker import agents, assignment, fatal, outage, table
from pintally.streams.worker import backpressure as flow
from pintally.streams.worker import flush as flush
from pintally.streams.worker.flush import RulesChanged, SinkRolledBack
from tests.simulation.command import Command, apply_rules, give_up, repair_all
from tests.simulation.command import edges as command_edges
from tests.simulation.kinds import ONE_SERVER, Kind
from tests.simulation.logs import KEYS, LATENESS, NAMED, SimLog, count_beside, decode_before, make_log, make_rules
from tests.simulation.loop import Job, blocking_call
from tests.simulation.servers import Servers, answer_of
from tests.simulation.sink import READS, Copy, SimSink, cut, part_of
from tests.simulation.worker import Worker, WorkerEnds, ends, starts_anew

SOURCES = (((Action.SAVE, 0),), ((Action.SAVE, 0), (Action.SAVE, 1)), ((Action.SAVE, 0), (Action.CLICK, 0)))
UUIDS = {action: UUID(int=int(action)) for action in Action}
RECORDS = 24  # a source
BESIDE = 0.3  # share of the schedules in which users and arms may be counted
DAMAGES = ("cells", "cells", "a slice", "a minute", "ledger rows", "letters", "wrong counts")
LOST, REPAIR = "pintally accept-loss", "pintally repair"  # as remedies name them
SILENT = logging.Logger("silent", logging.CRITICAL + 1)  # a schedule tells all in its own words

Name = TypeVar("Name")


@dataclass(frozen=True, eq=False)
class SimSettings:
    """What the counting path asks of `streams.settings.Settings`."""

    asked: Rules
    names: Mapping[Action, str]
    max_pending_cells: int

    @property
    def topics(self) -> SimpleNamespace:
        """The names of the topics that are counted; dead letters outlive the schedule."""
        actions = {topic: action for action, topic in self.names.items()}
        return SimpleNamespace(names=self.names, actions=actions, dead_letter_days=14, member_days=7)

    @property
    def kafka(self) -> None:
        """Nobody asks a real Kafka."""

    @property
    def sources(self) -> tuple[None, SimpleNamespace, SimpleNamespace]:
        """As `Settings` has them."""
        return self.kafka, self.topics, self.rules

    @property
    def worker(self) -> SimpleNamespace:
        """How many cells may wait."""
        return SimpleNamespace(max_pending_cells=self.max_pending_cells)

    @property
    def rules(self) -> SimpleNamespace:
        """The rules that are asked for, the same in every topic."""
        return SimpleNamespace(to_rules=lambda: self.asked, in_topic=lambda _: self.asked, keys=KEYS)


def other_rules(rng: Random, rules: Rules) -> Rules:
    """Rules that differ in lateness, skew, duplicates, breakdown or trusted cap, and may have smaller slices."""
    kind = rng.choice(("lateness", "lateness", "skew", "dedup", "breakdown", "trusted cap"))
    return replace(
        rules,
        allowed_lateness_ms=rng.choice([ms for ms in LATENESS if ms != rules.allowed_lateness_ms])
        if kind == "lateness"
        else rules.allowed_lateness_ms,
        max_clock_skew_ms=305_000 - rules.max_clock_skew_ms if kind == "skew" else rules.max_clock_skew_ms,
        breakdown=rules.breakdown != (kind == "breakdown"),
        trusted_cap=rules.trusted_cap + (kind == "trusted cap"),
        dedup=rules.dedup != (kind == "dedup"),
        slice_records=rng.choice((rules.slice_records, rng.randint(min(5, rules.slice_records), rules.slice_records))),
    )


class Partition:
    """How far the log of a source is written by now."""

    def __init__(self, log: SimLog, whole: bool) -> None:
        self.log = log
        self.end = log.end
        self.action = log.action
        self.start = log.start  # retention has taken what lies before it
        self.stable = self.written = self.end if whole else log.start  # readers see what is below `stable`


class World:
    """All state of a schedule, and what can happen to it. Everything random comes from `rng`."""

    sleepers_end = True  # a control switches it off

    def __init__(self, rng: Random, say: Callable[..., None], kind: Kind = ONE_SERVER) -> None:
        self.rng = rng
        self.say = say
        self.own = Random(str(rng.getstate()[1][:8]))  # for what is counted beside pin-minutes
        arms = self.own if self.own.random() < BESIDE else None
        rules = replace(make_rules(rng), shards=kind.shards)
        names = rng.choice(SOURCES)
        logs = [
            make_log(rng, Source(a.topic(), UUIDS[a], p), a, rules, rng.randint(4, RECORDS), arms) for a, p in names
        ]
        self.counts_beside = arms is not None
        if arms:
            rules = count_beside(self.own, rules)
        self.logs = {TP(log.source.topic, log.source.partition): Partition(log, rng.random() < 0.5) for log in logs}
        self.servers = Servers(rng, logs, rules, kind.replicas, say)
        self.truth = self.servers.truth
        self.settings = SimSettings(rules, {a: a.topic() for a, _ in names}, rng.choice((6, 1000, 1000)))
        self.now = 0.0
        self.committed: dict[tuple[str, int], int] = {}
        self.workers: list[Worker] = []
        self.epoch = 0  # of the group
        self.given: dict[TP, Worker] = {}
        self.born = 0
        self.before = self.settings  # until the last change of rules began
        self.changes = 0
        self.changing = False  # rules apply has begun and not ended well
        self.command: Command | None = None
        self.gone_back = False  # ClickHouse has, since `rules apply` began
        self.has_hole = False  # an epoch start may stand above slices that were gone when it was written (10603)
        self.damages = self.trims = 0
        self.ruined: set[str] = set()  # the kinds of damage so far; an old copy may bring any of them back
        self.remedy = ""  # what the last worker that refused to go on asks a person to do

    # Kafka

    def produce(self, tp: TP) -> None:
        """More records; an open transaction may hold them back from readers."""
        part = self.logs[tp]
        part.written = min(part.end, part.written + self.rng.randint(1, 12))
        part.stable = part.written if self.rng.random() < 0.7 else self.rng.randint(part.stable, part.written)
        self.say("%s is written to %d, readable to %d", part.log.source, part.written, part.stable)

    def complete(self, tp: TP) -> None:
        """All that the log will ever hold is there."""
        part = self.logs[tp]
        part.written = part.stable = part.end

    def poll(self, worker: Worker, tp: TP, fault: str = "", most: int = 12) -> None:
        """The consumer fetches a chunk; it may be lost on its way, come twice, or answer an old seek."""
        part, consumer = self.logs[tp], worker.consumer
        start = consumer.fetched[tp]
        if fault == "stale":
            start = self.rng.randint(part.start, part.stable)
        if start < part.start:
            self.end(worker, f"{part.log.source} starts at {part.start}, it fetches from {start}")
            return
        end = min(part.stable, start + self.rng.randint(1, most))
        if end <= start:
            return
        consumer.fetched[tp] = end
        copies = {"drop": 0, "repeat": 2}.get(fault, 1)
        consumer.queue.extend([part.log.chunk(start, end)] * copies)
        self.say("%s fetches [%d, %d) of %s %s", worker.name, start, end, part.log.source, fault)

    def rebalance(self) -> None:
        """The group gives out all partitions anew among those that are awake; who sleeps learns of it later."""
        members = [worker for worker in self.workers if not worker.asleep and not worker.is_out]
        self.epoch += 1
        self.given = {tp: self.rng.choice(members) for tp in self.logs} if members else {}
        self.say("rebalance: %s", {str(tp.partition): worker.name for tp, worker in self.given.items()})

    @property
    def is_writing(self) -> bool:
        """Whether some worker is in the middle of a flush's inserts."""
        return any(worker.is_writing for worker in self.workers)

    def notice(self, worker: Worker) -> None:
        """A worker learns of its assignment, or that it was away for too long."""
        if worker.is_out:
            self.end(worker, "its session was over long ago")
            return
        mine = {tp for tp, owner in self.given.items() if owner is worker}
        if self.rng.random() < 0.5:
            worker.consumer.queue.clear()
        self.say("%s is assigned %s", worker.name, sorted(mine))
        self._acts(worker, lambda: worker.assign(mine, self.epoch))

    def flicker(self, worker: Worker) -> None:
        """A worker loses its partitions and has them again before anything else happens."""
        mine = worker.consumer.assigned
        self.say("%s loses %s and has them again", worker.name, sorted(mine))
        for assigned in (set(), mine):
            if worker in self.workers:
                self._acts(worker, partial(worker.assign, assigned, self.epoch))

    def acknowledge(self, worker: Worker, fault: str = "") -> None:
        """The answer to a batch of dead letters that was sent."""
        future, topic, batch = worker.unacked.pop(self.rng.randrange(len(worker.unacked)))
        if fault != "lost":
            self.truth.buried |= {(letter.source, letter.offset) for letter in batch.letters}
        self.say("%s: answer to %d dead letters on %s %s", worker.name, len(batch.records), topic, fault)
        if not future.done():
            self._answer(
                worker, lambda: future.set_exception(KafkaConnectionError()) if fault else future.set_result(None)
            )

    def commit(self, worker: Worker) -> None:
        """The group's offsets follow the ledger."""
        for tp, offset in worker.tables.flushed_positions().items():
            if self.given.get(tp) is worker:
                self.committed[tp.topic, tp.partition] = offset

    # workers

    def start(self, order: Sequence[int] = ()) -> Worker:
        """A new process, not in the group yet. While the rules change it may be started by either.

        `order`: how its settings name the shards, if not as they are; it refuses to count then.
        """
        self.born += 1
        settings = self.before if self.changing and self.rng.random() < 0.5 else self.settings
        worker = Worker(self, f"worker {self.born}", settings, self.servers.sink(order))
        worker.is_misled = bool(order) or self.changing or bool(self.command and self.command.name == "lost")
        self.workers.append(worker)
        self.say("%s starts", worker.name)
        return worker

    def end(self, worker: Worker, why: str) -> None:
        """A process ends. What it has sent may still arrive."""
        self.say("%s ends: %s", worker.name, why)
        self.workers.remove(worker)
        self.given = {tp: owner for tp, owner in self.given.items() if owner is not worker}
        for job in worker.loop.jobs:
            if job.pending and job.pending[0].startswith("write"):
                self._on_its_way(job)
        for _, _, batch in worker.unacked:
            if self.rng.random() < 0.5:
                self.truth.buried |= {(letter.source, letter.offset) for letter in batch.letters}
        worker.close()

    def _on_its_way(self, job: Job) -> None:
        assert job.pending
        name, rows, _, session = job.pending
        if session.epoch == session.sink.epoch and self.rng.random() < 0.5:
            session.sink.late.append((name, *rows))
            self.say("  its %s is still on the way", name)

    def flush(self, worker: Worker) -> None:
        """A flush begins."""
        self.say("%s: a flush begins", worker.name)
        self._acts(worker, worker.start_flush)

    def deliver(self, worker: Worker) -> None:
        """An agent folds the next chunk."""
        chunk = worker.consumer.queue[0]
        self.say("%s folds [%d, %d) of %s", worker.name, chunk.start, chunk.end, f"{chunk.topic}[{chunk.partition}]")
        self._acts(worker, worker.deliver)

    def watch(self, worker: Worker) -> None:
        """A worker looks at its flow."""
        self._acts(worker, worker.watch)

    def fire(self, worker: Worker) -> None:
        """What slept in a worker wakes up."""
        self._answer(worker, lambda: worker.loop.fire(worker.loop.timers[0]))

    def call(self, worker: Worker, fault: str = "") -> None:
        """The answer to a call that waits; see `_execute` for faults."""
        job = self.rng.choice(worker.loop.jobs)
        answer = self._execute(job, fault)
        whose = " of a cancelled flush" if job.is_orphan else ""
        self.say("%s: %s%s %s -> %r", worker.name, job.pending and job.pending[0], whose, fault, answer)
        worker.is_misled |= job.stale
        self._answer(worker, lambda: job.answer(answer), job.stale)

    def _execute(self, job: Job, fault: str) -> Any:
        """Do what a blocking call asks for.

        lost: it never arrived. silent: applied, but the answer was lost. halved: some rows were applied.
        later: it will be applied, some time. stale: an older state of the ledger is read.
        """
        assert job.pending
        name, *rest = job.pending
        if name in ("read_offsets", "committed_offsets"):
            return getattr(self, "_" + name)(*rest)
        args, kwargs, session = rest
        if session.is_broken or fault == "lost":
            return SinkUnavailable("lost")
        if name in READS:
            stale = self.rng.randint(1, 4) if fault == "stale" else 0
            job.stale |= bool(stale)
            return answer_of(session.do_read, name, stale, *args, **kwargs)
        if fault == "later":
            session.sink.late.append((name, *args))
            return SinkUnavailable("later")
        if fault == "halved":
            at, first = self.rng.randint(0, len(args[0])), self.rng.random() < 0.5
            args = (
                cut(args, self.own) if len(args) > 1 else (part_of(args[0], slice(at) if first else slice(at, None)),)
            )
        answer = answer_of(session.do_write, name, *args, **kwargs)
        return SinkUnavailable(fault) if fault in ("silent", "halved") else answer

    def _answer(self, worker: Worker, begin: Callable[[], Any], stale: bool = False) -> None:
        def act() -> None:
            worker.run(begin)
            worker.reap()

        self._acts(worker, act, stale)

    def _acts(self, worker: Worker, act: Callable[[], Any], stale: bool = False) -> None:
        """As `streams.worker.app` does around a flush: some errors end the worker, no other may come.

        A worker may refuse to go on by a `stale` read, and by a change of rules; a ledger that seems empty again right
        after its start row was written is the one ValueError.
        """
        try:
            act()
        except SinkRolledBack as error:
            self.end(worker, error.what)
        except (WorkerEnds, RulesChanged) as error:
            allowed = worker.is_out or worker.is_misled or self.changing or self._needs(error.remedy)
            if not allowed and worker.app.settings is self.settings:
                raise
            self.remedy = error.remedy
            self.end(worker, str(error))
        except ValueError as error:
            if not stale or "without a start row" not in str(error):
                raise
            self.end(worker, str(error))

    # ClickHouse

    def land(self) -> None:
        """An insert that went unanswered is applied after all."""
        sink, at = self.rng.choice(self.servers.late)
        name, *args = sink.late.pop(at)
        self.say("a late %s is applied", name)
        sink.apply(name, *args)
        if name == "write_starts" and any(row.rules != self.settings.asked.to_json() for row in args[0]):
            self.changing = True  # rules that were given up hold after all, and workers say so (seed 61599)

    def land_some(self) -> None:
        """Some of what is on its way arrives."""
        while self.servers.late and self.rng.random() < 0.5:
            self.land()

    def restore(self) -> None:
        """ClickHouse goes back to a copy. If other rules held then, no worker sleeps through all of it (C17).

        One shard alone then lacks slices of before, which workers do not count again: `repair` does.
        """
        sink, copy = self.rng.choice(self.servers.copies)
        epochs = sink.truth.epochs
        self._go_back(sink, copy)
        if sink.truth.epochs == epochs:
            return
        if self.servers.are_many:
            self._is_ruined("a shard from before a change")
        starts, asked = self.truth.newest_starts, self.settings.asked.to_json()
        if {row.source for row in starts} != {row.source for row in starts if row.rules == asked}:
            self.changing = True  # of some source only the rules of before are left (seed 17115)
        self._stop_all(kill=True)

    def forget_flush(self) -> None:
        """ClickHouse goes back by a flush or a few. Best by those that told of sources which have nothing to tell now.

        Whoever has their state must find it out by itself, from the ledger of sources that it has no news of.
        """
        sink = self.servers.any()
        copies = [copy for copy in sink.recent if copy.starts == sink.starts]
        idle = [copy for copy in copies if self._went_idle(sink, copy)]
        if copies:
            self._go_back(sink, self.rng.choice(idle or copies))

    def _went_idle(self, sink: SimSink, copy: Copy) -> bool:
        """Whether only sources that are written to their ends were recorded since this copy."""
        changed = {row.source for key, row in sink.ledger.items() if copy.ledger.get(key) != row}
        idle = {part.log.source for part in self.logs.values() if part.stable == part.end}
        return bool(changed) and changed <= idle

    def _go_back(self, sink: SimSink, copy: Copy) -> None:
        sink.restore(copy)
        self.gone_back = True
        self.has_hole |= self.changing
        self.say("ClickHouse goes back to a copy: %s", sorted((r.start, r.position) for r in sink.ledger.values()))

    def _is_ruined(self, kind: str) -> None:
        self.damages += 1
        self.ruined.add(kind)
        self.truth.is_damaged = True

    def damage(self, kind: str = "") -> None:
        """Somebody deletes or changes rows by hand, of some kind unless one is asked for.

        Not of 1970, where stream times begin: repair takes what is missing there for dropped with age.
        """
        kind = kind or self.rng.choice(DAMAGES)
        self._is_ruined(kind)
        sink = self.servers.any()
        cells = [key for key in sink.cells if key[2]]
        self.say("somebody ruins %s", kind)
        if kind == "ledger rows":
            for key in self._half(key for key in sink.ledger if key[2]):
                del sink.ledger[key]
        elif kind == "letters":
            for origin in self._half(origin for origin, row in sink.dead_letters.items() if row.timestamp > 0):
                del sink.dead_letters[origin]
        elif kind == "wrong counts":
            complete = sink.truth.complete_slices(sink)
            for key in self._half(key for key in cells if key[:3] in complete):
                version, events, trusted = sink.cells[key]  # the sum of events is what repair looks at by itself
                sink.cells[key] = version, events + 1, self.rng.choice((0, trusted, events + 1))
        elif cells:
            self._damage_beside(sink)
            chosen, at = self.rng.choice(cells), {"a slice": slice(3), "a minute": slice(4, 5)}.get(kind)
            for key in [k for k in cells if k[at] == chosen[at]] if at else self._half(cells):
                del sink.cells[key]
        sink.truth.reset(sink)
        sink.settled()

    def _half(self, keys: Iterable[Name]) -> list[Name]:
        return [key for key in keys if self.rng.random() < 0.5]

    def _damage_beside(self, sink: SimSink) -> None:
        """Rows of members and arms are lost too."""
        for kind, rows in sink.tables.items():
            lost = [key for key in sorted(rows) if key[2] and self.own.random() < 0.5]
            if kind is not PinMinuteRows and lost:
                self.say("and rows of %s", kind.table)
                for key in lost:
                    del rows[key]

    def trim(self) -> None:
        """Retention takes the beginning of a log that no worker counts.

        That takes hours: no process sleeps through it to go on (C17), nothing is on its way any more.
        """
        part = self.logs[self.rng.choice(list(self.logs))]
        self.trims += 1
        self._stop_all(kill=True)
        self.land_some()
        self.servers.nothing_comes()
        ledger = self.servers.each[0].ledger
        position = max((row.position for row in ledger.values() if row.source == part.log.source), default=0)
        start = self.rng.choice((self.rng.randint(part.start, part.stable), position, position + 1, position + 2))
        part.start = self.truth.log_starts[part.log.source.id] = min(max(part.start, start), part.stable)
        self.say("%s is trimmed to %d", part.log.source, part.start)

    def give_up(self) -> None:
        """`accept-loss` begins, or begins again. The group is empty, as for `rules apply`."""
        self._stop_all(kill=False)
        self.command = give_up(self)
        self.say("lost begins")
        self._reap_command()

    def repair(self) -> None:
        """`repair` begins."""
        self.command = repair_all(self)
        self.say("repair begins")
        self._reap_command()

    # a change of rules

    @property
    def can_revert(self) -> bool:
        """Whether the rules before the last change can be those of now again: slices may not grow (C5)."""
        before, rules = self.before.asked, self.settings.asked
        return before != rules and before.slice_records == rules.slice_records

    def change_rules(self, *, revert: bool = False) -> None:
        """Somebody wants other rules, or the last ones again: all workers stop, `rules apply` begins (C18)."""
        rules = self.before.asked if revert else other_rules(self.rng, self.settings.asked)
        if self.counts_beside and not revert and self.own.random() < 0.5:
            rules = count_beside(self.own, rules)
        self.before = self.settings
        self.changes += 1
        self.settings = replace(self.settings, asked=rules)
        self.say("the rules shall be %s", self.settings.asked)
        self.apply_rules()

    def apply_rules(self) -> None:
        """`rules apply` begins, or begins again. The group is empty: who sleeps has been away for too long."""
        self.changing = True
        self._stop_all(kill=False)
        self.command = apply_rules(self)
        self.gone_back = False
        self.say("rules apply begins")
        self._reap_command()

    def command_call(self, fault: str = "") -> None:
        """The answer to a call of the command."""
        assert self.command
        job = self.command.job
        answer = self._execute(job, fault)
        self.say("%s: %s %s -> %r", self.command.name, job.pending and job.pending[0], fault, answer)
        job.answer(answer)
        self._reap_command()

    def _reap_command(self) -> None:
        command = self.command
        if not command or not command.is_done:
            return
        self.command = None
        try:
            code = command.result()
        except SinkUnavailable:
            self.say("%s is interrupted", command.name)
        except Refusal as refusal:
            if "PINTALLY_SLICE_RECORDS" in refusal.what:
                self._take_smaller_slices()
            elif not self._needs(refusal.remedy):
                raise
            self.remedy = refusal.remedy
            self.say("%s waits for what it asks for: %s", command.name, refusal)
        else:
            self.say("%s is done: %s", command.name, code)
            if command.name == "rules apply":
                self.changing = False
            elif command.name == "lost":
                self.remedy = ""
            elif code == 0 and not self._ledger_comes:
                everywhere = set.intersection(*(sink.truth.complete_slices(sink) for sink in self.servers.each))
                for sink in self.servers.each:  # else a row may come that vouches for cells ruined before it (255504)
                    sink.truth.repaired(sink, everywhere)

    def _needs(self, remedy: str) -> bool:
        """Whether something happened that a person has to mend in this way."""
        lost, hole = self.trims > 0 and LOST in remedy, self.has_hole and REPAIR in remedy
        return self.truth.is_damaged or lost or hole

    @property
    def _ledger_comes(self) -> bool:
        """Whether ledger rows are on their way."""
        return any(name == "write_ledger" for sink in self.servers.each for name, *_ in sink.late)

    def _take_smaller_slices(self) -> None:
        """A copy came back of a time when slices were smaller; they may not grow (C5).

        Or it came while `rules apply` ran, of a time when they were larger: run again, it finds them (seed 7051450).
        """
        known = [Rules.from_json(row.rules).slice_records for row in self.truth.newest_starts]
        rules = self.settings.asked
        assert min(known) < rules.slice_records or self.gone_back
        self.settings = replace(self.settings, asked=replace(rules, slice_records=min(*known, rules.slice_records)))

    def kill_command(self) -> None:
        """The command's process ends. What it asked for last may be done; it is not done later."""
        assert self.command
        if self.rng.random() < 0.5:
            self._execute(self.command.job, "")
        self.say("%s is killed", self.command.name)
        self.command = None

    @property
    def can_abandon(self) -> bool:
        """Whether nothing of the new rules has come into force."""
        before = self.before.asked.to_json()
        return all(row.rules == before for row in self.truth.newest_starts)

    def abandon_change(self) -> None:
        """Workers are started by the old rules again."""
        self.say("the rules stay as they were")
        self._stop_all(kill=True)
        self.settings = self.before
        self.changing = False

    def _stop_all(self, *, kill: bool) -> None:
        """The group is empty. Some do not know it yet: they sleep, and end when they see how long (C17)."""
        for worker in list(self.workers):
            if kill or (not worker.asleep and self.rng.random() < 0.5):
                self.end(worker, "stopped")
            else:
                worker.asleep, worker.is_out = True, self.sleepers_end
        self.rebalance()

    # what the topics module asks Kafka

    def _describe_topics(self) -> Mapping[str, TopicInfo]:
        names = [(action.topic(), UUIDS[action]) for action in self.settings.names]
        parts = Counter(tp.topic for tp in self.logs)
        far = 2**63 - 1
        return {name: TopicInfo(name, id_, parts[name], "LogAppendTime", far, far, "delete") for name, id_ in names}

    def _read_offsets(self, sources: Sequence[Source]) -> Mapping[Source, Offsets]:
        parts = {source: self._part(source) for source in sources}
        return {source: Offsets(part.start, part.written, part.stable) for source, part in parts.items()}

    def _part(self, source: Source) -> Partition:
        return self.logs[TP(source.topic, source.partition)]

    def _committed_offsets(self) -> Mapping[tuple[str, int], int]:
        return dict(self.committed)

    @contextmanager
    def edges(self) -> Iterator[None]:
        """Put this world in the place of the real one."""
        edges: list[tuple[Any, str, Any]] = [
            (assignment, "describe_topics", lambda *_: self._describe_topics()),
            (assignment, "read_offsets", lambda _, sources: blocking_call("read_offsets", sources)),
            (assignment, "committed_offsets", lambda _: blocking_call("committed_offsets")),
            (cluster_state, "describe_topics", lambda *_: self._describe_topics()),
            (cluster_state, "read_offsets", lambda _, sources: blocking_call("read_offsets", sources)),
            (cluster_state, "committed_offsets", lambda _: blocking_call("committed_offsets")),
            (sharded, "side_by_side", self.servers.in_any_order),
            (maintained, "side_by_side", self.servers.in_any_order),
            (fold, "decode_by_rule", decode_before),
            (slice_labels, "MAX_SLICE_LABELS", NAMED),
            (slice_arms, "MAX_SLICE_ARMS", NAMED),
            (flow, "monotonic", lambda: self.now),
            (flush, "monotonic", lambda: self.now),
            (table, "refuse", ends),
            (fatal, "refuse", ends),
            (fatal, "end_process", starts_anew),
            *((module, "log", SILENT) for module in (agents, fatal, flow, outage)),
        ]
        real = [(module, name, getattr(module, name)) for module, name, _ in edges]
        for module, name, ours in edges:
            setattr(module, name, ours)
        try:
            with command_edges(lambda source, start, end: self._part(source).log.chunk(start, end)):
                yield
        finally:
            for worker in self.workers:
                worker.close()
            for module, name, theirs in real:
                setattr(module, name, theirs)
