"""Shards in memory under faults: real folds, flushes and recovery, and what each shard must say at any moment."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from pintally.schemas.actions import Action
from pintally.schemas.cells import ArmMemberRows, CellRows, ExperimentRows, PinMemberRows, PinMinuteRows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import LedgerRow, StartRow, position_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks import shards as sharded
from pintally.sinks.reads.shards import number_of
from pintally.sinks.shards import ShardedSink
from pintally.streams.counting.fold import ChunkRefused, SourceFold
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.worker.flush import SinkRolledBack, look, write
from tests.controls.switch import replaced
from tests.simulation.logs import KEYS, NAMED, SimLog, count_beside, make_log, make_rules
from tests.support.memory_sink import MemorySession, MemorySink
from tests.support.reference import Recount, recount

Key = tuple[Any, ...]  # slice_block, arrived_at, the kind of its rows, and what names the cell, but for the action
FAULTS = ("lost", "silent", "halved", "later")
ROUNDS = 60


class Violation(AssertionError):
    """A shard says what is not true, or its ledger vouches for what it does not have."""


class Shard(MemorySink):
    """One server. Each of its steps may fail, before or after it is applied, or be applied much later."""

    def __init__(self, world: "World", number: int) -> None:
        super().__init__()
        self.world, self.number = world, number
        self.life = 0  # connections do not outlive it
        self.late: list[tuple[str, tuple[Any, ...]]] = []
        self.copy: tuple[Any, ...] | None = None

    def open_session(self) -> "MemorySession":
        if self.world.is_faulty():
            raise SinkUnavailable("away")
        return ShardSession(self)

    def apply(self, name: str, rows: tuple[Any, ...]) -> None:
        getattr(MemorySession(self), name)(*rows)
        if name != "write_dead_letters":
            self.world.check(self)

    def back_up(self) -> None:
        """Taken while nothing is on its way: a copy holds what it holds."""
        tables = {kind: dict(cells) for kind, cells in self.tables.items()}
        self.copy = list(self.starts), tables, dict(self.ledger), dict(self.dead_letters), list(self.lost)

    def restore(self) -> None:
        """Back to its own copy, which the other shards know nothing of."""
        if self.copy:
            starts, tables, ledger, letters, lost = self.copy
            self.starts, self.ledger, self.dead_letters, self.lost = [*starts], dict(ledger), dict(letters), [*lost]
            self.tables = defaultdict(dict, {kind: dict(cells) for kind, cells in tables.items()})
            self.life += 1
            self.late.clear()

    def land(self) -> None:
        """What went unanswered is applied after all."""
        while self.late:
            self.apply(*self.late.pop())


class ShardSession(MemorySession):
    """One connection to a shard."""

    sink: Shard

    def __init__(self, sink: Shard) -> None:
        super().__init__(sink)
        self.life = sink.life

    def _write(self, name: str, *rows: Any) -> None:
        self.sink.world.interrupt()
        fault = self.sink.world.fault()
        if self.over or self.life != self.sink.life or fault == "lost":
            raise SinkUnavailable("lost")
        if fault == "later":
            self.sink.late.append((name, rows))
            raise SinkUnavailable("later")
        if fault == "halved" and name == "write_cells":
            rows = tuple(each.select(slice(0, self.sink.world.rng.randint(0, len(each)))) for each in rows)
        self.sink.apply(name, rows)
        if fault:
            raise SinkUnavailable("no answer")

    def write_starts(self, rows: Any) -> None:
        self._write("write_starts", rows)

    def write_cells(self, *tables: CellRows) -> None:
        self._write("write_cells", *tables)

    def write_dead_letters(self, rows: Any) -> None:
        self._write("write_dead_letters", rows)

    def write_ledger(self, rows: Any) -> None:
        self._write("write_ledger", rows)


@dataclass(eq=False)
class Worker:
    """The folds of a process."""

    folds: dict[Source, SourceFold] = field(default_factory=dict)


class World:
    """A log or two, two or three shards, and workers that all believe they own every source."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.rate = rng.choice((0.0, 0.05, 0.15, 0.3))
        own = Random(seed)  # for what is counted beside pin-minutes
        arms = own if own.random() < 0.5 else None
        rules = replace(make_rules(rng), shards=rng.choice((2, 2, 3)))
        self.rules = rules = count_beside(own, rules) if arms else rules
        sources = [Source(Action.SAVE.topic(), UUID(int=1), n) for n in range(rng.randint(1, 2))]
        self.logs = {s: make_log(rng, s, Action.SAVE, rules, rng.randint(6, 24), arms) for s in sources}
        self.known = {source: truth_of(log, rules) for source, log in self.logs.items()}
        self.shards = [Shard(self, n) for n in range(rules.shards)]
        self.sink = ShardedSink(self.shards, lambda ledgers: furthest_behind(ledgers))
        self.workers: list[Worker] = []
        self.letters: dict[tuple[Source, int], Any] = {}

    # chance

    def is_faulty(self) -> bool:
        return self.rng.random() < self.rate

    def fault(self) -> str:
        return self.rng.choice(FAULTS) if self.is_faulty() else ""

    def in_any_order(self, steps: Sequence[Callable[[], Any]]) -> list[Any]:
        """As `side_by_side`: each shard takes its step, whatever becomes of the others."""
        answers: dict[int, Any] = {}
        errors = []
        for number in self.rng.sample(range(len(steps)), len(steps)):
            try:
                answers[number] = steps[number]()
            except SinkUnavailable as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return [answers[number] for number in range(len(steps))]

    def interrupt(self) -> None:
        """Between two steps of a flush another worker may act, a backup be made, or a shard be restored."""
        if self.is_faulty():
            shard = self.rng.choice(self.shards)
            self.rng.choice((shard.land, shard.back_up, shard.restore))()

    # what happens

    def run(self) -> None:
        """Chaos, then the end."""
        with replaced((sharded, "side_by_side", self.in_any_order)):
            for _ in range(self.rng.randint(20, 80)):
                self.act()
            self.end()

    def act(self) -> None:
        shard = self.rng.choice(self.shards)
        if not self.workers or (len(self.workers) < 3 and self.rng.random() < 0.08):
            self.workers.append(Worker())
        worker = self.rng.choice(self.workers)
        kind = self.rng.choices(("fold", "flush", "crash", "land", "copy", "restore"), (10, 6, 1, 1, 1, 1))[0]
        if kind == "fold":
            self.fold(worker)
        elif kind == "flush":
            self.flush(worker)
        elif kind == "crash":
            self.workers.remove(worker)
        elif kind == "land":
            shard.land()
        elif kind == "copy":
            shard.back_up()
        elif self.rate:
            shard.restore()

    def begin(self, worker: Worker, source: Source) -> bool:
        """As on an assignment (C12 to C16); whether it could."""
        log = self.logs[source]
        try:
            with self.sink.session() as session:
                ledger = session.read_ledgers([source])[source]
                if not ledger.starts:
                    session.write_starts([StartRow(source, 0, log.start, 0, self.rules.to_json())])
                    ledger = session.read_ledgers([source])[source]
        except SinkUnavailable:
            return False
        if not ledger.starts:
            return False
        chain = follow(ledger)
        base = base_of(chain)
        worker.folds[source] = SourceFold(source, Action.SAVE, self.rules, 0, base, chain.version, keys=KEYS)
        return True

    def fold(self, worker: Worker, most: int = 8) -> bool:
        """Whether there was something to fold."""
        source = self.rng.choice(list(self.logs))
        if source not in worker.folds and not self.begin(worker, source):
            return True
        fold, log = worker.folds[source], self.logs[source]
        if fold.position >= log.end:
            return any(each.position < self.logs[s].end for s, each in worker.folds.items()) or len(worker.folds) < len(
                self.logs
            )
        fold.fold(log.chunk(fold.position, min(log.end, fold.position + self.rng.randint(1, most))))
        return True

    def flush(self, worker: Worker) -> bool:
        """Whether it was acknowledged, or nothing is to flush and no ledger went back."""
        folds = list(worker.folds.values())
        captures = [(fold, capture) for fold in folds if (capture := fold.capture())]
        try:
            if not captures:
                look(self.sink, folds)
                return True
            write(self.sink, folds, [capture for _, capture in captures])
        except SinkUnavailable:
            for fold, capture in captures:
                fold.merge_back(capture)
            return False
        except SinkRolledBack:
            self.workers.remove(worker)  # it starts again
            return False
        for fold, capture in captures:
            fold.acknowledge(capture)
        return True

    def end(self) -> None:
        """Faults are over; a worker comes to the end."""
        self.rate = 0.0
        for shard in self.shards:
            shard.land()
        for _ in range(ROUNDS):
            worker = self.workers[0] if self.workers else Worker()
            self.workers = [worker]
            while self.fold(worker, 100):
                pass
            if self.flush(worker) and worker in self.workers and self.flush(worker):
                break
        else:
            raise Violation("it does not come to the end")
        for shard in self.shards:
            self.check(shard, whole=True)

    # what must be

    def check(self, shard: Shard, *, whole: bool = False) -> None:
        """Each cell is true at its version, and on its shard; what the ledger of a shard vouches for is there."""
        by_id = {source.id: truth for source, truth in self.known.items()}
        for kind, cells in shard.tables.items():
            for (source, block, arrived, _, *cell), (version, *values) in cells.items():
                truth, key = by_id[source], (block, arrived, kind, *cell)
                if truth.shard[key] != shard.number:
                    raise Violation("a cell is on another shard")
                if values != truth.at(key, position_of(version))[: len(values)]:
                    raise Violation("a cell is not what it was at its version")
        rows: dict[Source, list[LedgerRow]] = defaultdict(list)
        for row in shard.ledger.values():
            rows[row.source].append(row)
            self._vouched(shard, row)
        if whole:
            for source, truth in self.known.items():
                truth.check_end(shard, source, rows[source])

    def _vouched(self, shard: Shard, row: LedgerRow) -> None:
        truth = self.known[row.source]
        for key in truth.of_slice[row.slice_block, row.arrived_at]:
            must = truth.at(key, row.position)[0]
            if truth.shard[key] == shard.number and must > truth.found(shard, row.source, key):
                raise Violation("a ledger vouches for cells that its shard does not have")


@dataclass
class Truth:
    """The recount of one log."""

    cells: dict[Key, list[int]]  # the offsets that each counts
    trusted: set[int]
    shard: dict[Key, int]
    of_slice: dict[tuple[int, int], list[Key]]
    slices: list[Any]
    letters: list[Any]

    def at(self, key: Key, position: int) -> list[int]:
        """Events and trusted events of a cell below a position."""
        offsets = [offset for offset in self.cells[key] if offset < position]
        return [len(offsets), sum(offset in self.trusted for offset in offsets)]

    def found(self, shard: Shard, source: Source, key: Key) -> int:
        """The events that a shard has of a cell."""
        block, arrived, kind, *cell = key
        return shard.tables[kind].get((source.id, block, arrived, int(Action.SAVE), *cell), (0, 0))[1]

    def check_end(self, shard: Shard, source: Source, rows: list[LedgerRow]) -> None:
        """All of it: every cell of its pins, every slice, and on shard 0 every dead letter."""
        for key, offsets in self.cells.items():
            if self.found(shard, source, key) != (len(offsets) if self.shard[key] == shard.number else 0):
                raise Violation("in the end a cell is not what the log holds")
        must = [(piece.start, piece.position, piece.outcomes["counted"]) for piece in self.slices]
        if sorted((row.start, row.position, row.cells_sum) for row in rows) != must:
            raise Violation("in the end a ledger is not that of the log")
        letters = sorted(letter.offset for letter in shard.dead_letters.values() if letter.source == source)
        if letters != ([letter[0] for letter in self.letters] if shard.number == 0 else []):
            raise Violation("in the end dead letters are missing, or on another shard")


def truth_of(log: SimLog, rules: Rules) -> Truth:
    """What all shards together must say."""
    return truth_of_recount(recount(log.records, log.start, log.end, rules, log.action, named=NAMED, keys=KEYS), rules)


def truth_of_recount(found: Recount, rules: Rules) -> Truth:
    """Where each of its cells must be."""
    beside = (PinMemberRows, found.members), (ExperimentRows, found.arms), (ArmMemberRows, found.arm_members)
    cells: dict[Key, list[int]] = {(*key[:2], PinMinuteRows, *key[2:]): at for key, at in found.counted.items()}
    cells |= {(*at, kind, *cell): offsets for kind, each in beside for (*at, cell), offsets in each.items()}
    of_slice: dict[tuple[int, int], list[Key]] = defaultdict(list)
    for key in cells:
        of_slice[key[0], key[1]].append(key)
    on = {key: number_of(key[4], rules.shards) if "pin_id" in key[2].key else 0 for key in cells}
    return Truth(cells, set(found.trusted), on, of_slice, list(found.slices), list(found.dead_letters))


def first_failure(seeds: range) -> tuple[int, str] | None:
    """The first seed whose run is not exact, and what was found."""
    for seed in seeds:
        try:
            World(seed).run()
        except (Violation, ChunkRefused, KeyError, ValueError) as error:
            return seed, repr(error)
    return None
