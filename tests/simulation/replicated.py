"""A simulated server whose tables are replicated: a session is on one replica, an insert is answered by a quorum."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from pintally.schemas.cells import CELL_TABLES, CellRows
from pintally.schemas.errors import SinkUnavailable
from tests.simulation.erased import Erased
from tests.simulation.loop import blocking_call
from tests.simulation.replicas import LOST, Entry, Replicas
from tests.simulation.sink import Copy, SimSession, SimSink
from tests.simulation.truth import Truth
from tests.support.memory_sink import MemorySession, MemorySink

CELLS = tuple(kind.table for kind in CELL_TABLES)
CLAIMS, STARTS, LEDGER = "ingest_claims", "ingest_starts", "ingest_ledger"
LOST_ROWS, LETTERS = "ingest_lost", "dead_letters"
WRITES = {
    "write_claims": CLAIMS,
    "write_starts": STARTS,
    "write_ledger": LEDGER,
    "write_lost": LOST_ROWS,
    "write_dead_letters": LETTERS,
}
# The tables of which a replica must have everything before it does this.
SYNCED = {
    "known_sources": (STARTS,),
    "read_ledgers": (CLAIMS, STARTS, LEDGER, LOST_ROWS),
    "read_back": (STARTS, LEDGER),
    "slice_sums": CELLS,
    "read_slice": CELLS,
    "cell_totals": CELLS,
    "letter_offsets": (LETTERS,),
    "read_dead_letters": (LETTERS,),
    "delete_superseded": (STARTS, LEDGER, LOST_ROWS, LETTERS, *CELLS),
    "delete_cells": CELLS,
    "delete_ledger": (LEDGER,),
    "delete_letters": (LETTERS,),
    "forget": (LEDGER, LETTERS, *CELLS),
}
NOT_ANSWERED = 0.06  # of the inserts whose quorum is there


class ReplicatedSink(SimSink):
    """Its own tables are what all replicas together have; what readers and sessions see is what one of them has."""

    quorum = 2
    synced = SYNCED
    deduplicates = False
    loses = True

    def __init__(self, truth: Truth, rng: Random, replicas: int, say: Callable[..., None]) -> None:
        super().__init__(truth)
        self.rng = rng
        self.say = say
        self.replicas: Replicas[MemorySink] = Replicas(rng, replicas, self._came, MemorySink)
        self.is_calm = self.was_ruined = False
        self._blocks: set[object] = set()  # of which a hash is kept

    def open_session(self) -> "SimSession":
        return ReplicaSession(self, *blocking_call("open", at_once=self._opened))

    def _opened(self) -> tuple[int, int, int] | SinkUnavailable:
        if self.down or not self.replicas.up:
            return SinkUnavailable("no replica answers")
        at = self.rng.choice(self.replicas.up)
        return self.epoch, at, self.replicas.lives[at]

    def known_sources(self) -> Any:
        return blocking_call("known_sources", at_once=self._known)

    def _known(self) -> Any:
        """Of one replica, by a connection of its own."""
        opened = self._opened()
        if isinstance(opened, SinkUnavailable):
            return opened
        try:
            self.sync(opened[1], "known_sources")
        except SinkUnavailable as error:
            return error
        return MemorySink.known_sources(self.replicas.each[opened[1]].sink)

    def sync(self, at: int, what: str) -> None:
        """The barrier before a step on one replica."""
        if not self.replicas.sync(at, self.synced.get(what, ())):
            raise SinkUnavailable("a part is on a replica that is away")

    def read_at(self, at: int, name: str, *args: Any, **kwargs: Any) -> Any:
        """What one replica says."""
        self.sync(at, name)
        if name == "refuse_absent" and len(self.replicas.up) < len(self.replicas.each):
            raise SinkUnavailable("a replica is away")
        return getattr(MemorySession(self.replicas.each[at].sink), name)(*args, **kwargs)

    def apply(self, name: str, *args: Any, at: int | None = None, **kwargs: Any) -> None:
        """Through a replica, whose answer is waited for; or through any, much later."""
        some = self.replicas.up or range(len(self.replicas.each))
        through = self.rng.choice(some) if at is None else at
        if name.startswith("delete") or name == "forget":
            self._delete(through, name, *args, **kwargs)
            return
        for table, part in _parts(name, args):
            block = table, repr(part if name != "write_cells" else part[0].tuples(tuple(part[0].columns())))
            if not (self.deduplicates and block in self._blocks):
                self._blocks.add(block)
                self._insert(through, table, name, part, waits=at is not None)

    def _insert(self, through: int, table: str, name: str, part: tuple[Any, ...], *, waits: bool) -> None:
        super().apply(name, *part)
        entry: Entry[MemorySink] = Entry(table, lambda sink: getattr(MemorySession(sink), name)(*part))
        self.replicas.take(entry, through)
        if waits and self.quorum > 1:
            self._wait(through, entry)

    def _wait(self, through: int, entry: Entry[MemorySink]) -> None:
        """A quorum has the part, or nobody knows; it stays where it is."""
        is_answered = self.is_calm or self.rng.random() >= NOT_ANSWERED
        if not (self.replicas.reach(entry, through, self.quorum - 1) and is_answered):
            raise SinkUnavailable("unknown status of the insert: no quorum")

    def _delete(self, through: int, name: str, *args: Any, **kwargs: Any) -> None:
        """A DELETE: by what this replica has; it returns when all have done it."""
        self.sync(through, name)
        sink = self.replicas.each[through].sink
        for table, erased in Erased.by(sink, lambda session: getattr(session, name)(*args, **kwargs)):
            erased.erase(self)
            self.replicas.take(Entry(table, erased.erase, is_part=False), through)
        self.truth.reset(self)
        for number in self.replicas.up:
            self.replicas.sync(number, self.synced[name])
        if len(self.replicas.up) < len(self.replicas.each):
            raise SinkUnavailable("a replica is away")

    def step(self) -> None:
        """Time passes on all replicas; a disk may be lost when all are whole. Nothing happens once all is calm."""
        if self.is_calm:
            return
        replicas = self.replicas
        replicas.step()
        if self.loses and len(replicas.up) == len(replicas.each) and self.rng.random() < LOST:
            self.say("a disk is lost")
            if replicas.lose():
                self._shrink(replicas.union())

    def _shrink(self, left: MemorySink) -> None:
        """Parts that were answered by a quorum are never among what is gone: what the ledger vouches for is there."""
        self.claims, self.starts, self.lost, self.tables = left.claims, left.starts, left.lost, left.tables
        self.ledger, self.dead_letters = left.ledger, left.dead_letters
        self.truth.begin(self, restored=True)
        self.truth.check_ledger(self, list(self.ledger.values()))

    def calm(self) -> None:
        self.is_calm = True
        self.replicas.calm()

    def restore(self, copy: Copy) -> None:
        super().restore(copy)
        self.settled()

    def settled(self) -> None:
        """All replicas have what was put into the tables by hand."""
        self.was_ruined = True
        self.replicas.reset(partial(_copied, self._state()))

    def check_end(self) -> None:
        """All replicas have the same in the end."""
        self.replicas.calm()
        for replica in self.replicas.each:
            self.truth.check_end(replica.sink)

    def _came(self, sink: MemorySink, entry: Entry[MemorySink]) -> None:
        """Readers of this replica see it."""
        lags = any(replica.lags for replica in self.replicas.each)
        self.was_ruined &= self.truth.is_damaged or lags  # a replica that lags shows what was repaired since
        if entry.table in CELLS and not self.was_ruined:
            self.truth.check_replica(sink)


class ReplicaSession(SimSession):
    """A connection to one replica."""

    sink: ReplicatedSink

    def __init__(self, sink: ReplicatedSink, epoch: int, at: int, life: int) -> None:
        super().__init__(sink, epoch)
        self.at, self.life = at, life

    @property
    def is_broken(self) -> bool:
        replicas = self.sink.replicas
        return super().is_broken or self.at not in replicas.up or self.life != replicas.lives[self.at]

    def do_read(self, name: str, _stale: int, /, *args: Any, **kwargs: Any) -> Any:
        return self.sink.read_at(self.at, name, *args, **kwargs)

    def do_write(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.sink.apply(name, *args, at=self.at, **kwargs)


def _parts(name: str, args: Sequence[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each insert makes a part of one table."""
    if name == "write_cells":
        tables: Sequence[CellRows] = args
        yield from ((rows.table, (rows,)) for rows in tables if len(rows))
    elif args[0]:
        yield WRITES[name], (tuple(args[0]),)


def _copied(copy: Copy, sink: MemorySink) -> None:
    sink.claims, sink.starts, sink.lost = set(copy.claims), list(copy.starts), list(copy.lost)
    for kind, rows in copy.tables.items():
        sink.tables[kind] = dict(rows)
    sink.ledger, sink.dead_letters = dict(copy.ledger), dict(copy.dead_letters)
