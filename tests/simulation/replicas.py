"""The replicas of a simulated server: parts, a queue for each table and replica, lag, replicas away, a lost disk.

Parts of a table are fetched in any order, what a DELETE has deleted after the parts before it. Tables do not wait for
each other. A replica that lost its disk is cloned: nobody reads it until it has all.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

Tables = TypeVar("Tables")
FETCHES, SLOW, AWAY, LOST = 0.5, 0.03, 0.01, 0.02  # chance a step
WORST = 0.6  # of the losses hit a replica that alone has some part
STANDS = (3, 40)  # steps that a queue stands still, or a replica is away


@dataclass(eq=False)
class Entry(Generic[Tables]):
    """One entry of a table's log. Only parts can be lost: what was deleted is kept with the log itself."""

    table: str
    apply: Callable[[Tables], object]
    is_part: bool = True
    on: set[int] = field(default_factory=set)


class Replica(Generic[Tables]):
    """One of them."""

    def __init__(self, empty: Callable[[], Tables]) -> None:
        self._empty = empty
        self.begin()

    def begin(self) -> None:
        """With an empty disk."""
        self.sink = self._empty()
        self.queues: defaultdict[str, list[Entry[Tables]]] = defaultdict(list)
        self.slow: defaultdict[str, int] = defaultdict(int)
        self.away = 0
        self.is_cloned = True  # as far as anybody has anything

    @property
    def lags(self) -> bool:
        """Whether it lacks what it knows of."""
        return any(self.queues.values()) or not self.is_cloned


class Replicas(Generic[Tables]):
    """All replicas of one server, and the log of its tables."""

    def __init__(
        self, rng: Random, count: int, fetched: Callable[[Tables, Entry[Tables]], None], empty: Callable[[], Tables]
    ) -> None:
        """`fetched` is told of each part that comes to a replica."""
        self.rng = rng
        self.fetched = fetched
        self._empty = empty
        self.log: list[Entry[Tables]] = []
        self.each = [Replica(empty) for _ in range(count)]
        self.lives = [0] * count  # sessions do not outlive it
        self.changes = 0  # of what some replica has

    @property
    def up(self) -> list[int]:
        """The numbers of those that answer and can be read."""
        return [number for number, each in enumerate(self.each) if not each.away and each.is_cloned]

    def take(self, entry: Entry[Tables], at: int) -> None:
        """A replica adds an entry to the log; the others come to know it."""
        self.log.append(entry)
        for number, replica in enumerate(self.each):
            if number != at and replica.is_cloned:
                replica.queues[entry.table].append(entry)
        self._apply(entry, at)

    def fetch(self, number: int, entry: Entry[Tables]) -> None:
        """A replica executes an entry of its queue."""
        self.each[number].queues[entry.table].remove(entry)
        self._apply(entry, number)

    def _apply(self, entry: Entry[Tables], number: int) -> None:
        sink = self.each[number].sink
        self.changes += 1
        entry.on.add(number)
        entry.apply(sink)
        self.fetched(sink, entry)

    def ready(self, number: int, table: str) -> list[Entry[Tables]]:
        """What a replica may execute next: what was deleted waits for what came before, and all after it waits."""
        queue = self.each[number].queues[table]
        first = next((at for at, entry in enumerate(queue) if not entry.is_part), len(queue))
        parts = [entry for entry in queue[:first] if entry.on.intersection(self.up)]
        return queue[:1] if queue and first == 0 else parts

    def reach(self, entry: Entry[Tables], at: int, others: int) -> bool:
        """Have so many other replicas fetch a part; False if there are not as many whose queues go on."""
        able = [
            n for n in self.up if n != at and not self.each[n].slow[entry.table] and entry in self.ready(n, entry.table)
        ]
        if len(able) < others:
            return False
        for number in self.rng.sample(able, others):
            self.fetch(number, entry)
        return True

    def sync(self, number: int, tables: Iterable[str]) -> bool:
        """`SYSTEM SYNC REPLICA`: whether a replica has all of these tables now. Some of it may be away."""
        for table in tables:
            while ready := self.ready(number, table):
                self.fetch(number, ready[0])
            if self.each[number].queues[table]:
                return False
        return True

    def step(self) -> None:
        """Time passes: some entries are executed, queues stand still, replicas go away and come back."""
        rng = self.rng
        for number, replica in enumerate(self.each):
            if replica.away:
                replica.away -= 1
                continue
            for table in [table for table, queue in replica.queues.items() if queue]:
                if replica.slow[table]:
                    replica.slow[table] -= 1
                elif rng.random() < SLOW:
                    replica.slow[table] = rng.randint(*STANDS)
                elif rng.random() < FETCHES and (ready := self.ready(number, table)):
                    self.fetch(number, rng.choice(ready))
            if not replica.is_cloned and rng.random() < FETCHES:
                self.clone(number)
        if len(self.up) == len(self.each) and rng.random() < AWAY:
            rng.choice(self.each).away = rng.randint(*STANDS)

    def calm(self) -> None:
        """All come back and catch up."""
        for replica in self.each:
            replica.away = 0
            replica.slow.clear()
        for number, replica in enumerate(self.each):
            if not replica.is_cloned:
                self.clone(number)
        for number, replica in enumerate(self.each):
            self.sync(number, list(replica.queues))

    def lose(self) -> bool:
        """A disk is lost, mostly the worst one; the next only when all are whole. Whether some part is gone."""
        alone = [next(iter(entry.on)) for entry in self.log if entry.is_part and len(entry.on) == 1]
        number = self.rng.choice(alone) if alone and self.rng.random() < WORST else self.rng.randrange(len(self.each))
        self.lives[number] += 1
        self.changes += 1
        self.each[number].begin()
        self.each[number].is_cloned = False
        for entry in self.log:
            entry.on.discard(number)
        gone = [entry for entry in self.log if entry.is_part and not entry.on]
        self.log = [entry for entry in self.log if entry not in gone]
        for replica in self.each:
            for table, queue in replica.queues.items():
                replica.queues[table] = [entry for entry in queue if entry not in gone]
        return bool(gone)

    def clone(self, number: int) -> None:
        """A new disk has all that is anywhere, unless a replica that is away alone has some of it."""
        if any(entry.is_part and not entry.on.intersection(self.up) for entry in self.log):
            return
        self.each[number].is_cloned = True
        for entry in self.log:
            self._apply(entry, number)

    def union(self) -> Tables:
        """What all together have."""
        sink = self._empty()
        for entry in self.log:
            entry.apply(sink)
        return sink

    def reset(self, apply: Callable[[Tables], object]) -> None:
        """All have the same, and nothing else."""
        self.log = [Entry("all", apply, on=set(range(len(self.each))))]
        for replica in self.each:
            replica.begin()
            apply(replica.sink)
