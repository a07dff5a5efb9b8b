"""Schedules of sealing on replicas: the real sealers and writers, one statement at a time; readers look after each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

from pintally.schemas.cells import CellRows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import version_of
from pintally.sinks.clickhouse.cells import Cells
from pintally.sinks.clickhouse.sealing import everywhere, recheck, seal, session
from tests.controls.switch import replaced
from tests.simulation.replicas import LOST
from tests.simulation.sealing.connection import ADDRESS, Server, SimConnection
from tests.simulation.sealing.readers import Readers, Wrong
from tests.simulation.sealing.tables import DAY, HOUR
from tests.support.actors import Actor
from tests.support.cells import cells

FIRST = 20_000 * DAY + 21 * HOUR  # three hours of a day, and three of the next
HOURS = range(FIRST, FIRST + 6 * HOUR, HOUR)
STEPS, ROUNDS = (150, 400), 3
KILLED, CORRECTS = 0.02, 0.25


@dataclass(eq=False)
class Flush:
    """What a worker writes until it is acknowledged, and so again if its process ends."""

    rows: CellRows
    hours: frozenset[int]
    is_correction: bool


class Schedule:
    """One seed."""

    def __init__(self, seed: int, tell: Callable[[str], None] = lambda _: None) -> None:
        self.rng = Random(f"sealing {seed}")
        self.pace = self.rng.choice((0.03, 0.1, 0.3))  # how often replicas do something, beside statements
        self.tell = tell
        self.server = Server(self.rng, self.rng.choice((2, 3, 3)))
        self.readers = Readers(self.server.replicas)
        self.actors: list[Actor] = []
        self.open: list[Flush] = []  # not acknowledged
        self.writes: dict[Actor, Flush] = {}
        self.disturbed: dict[int, int] = {}  # hour -> whole sealings since its correction was acknowledged
        self.clock = FIRST  # workers count this hour
        self.version = self.born = 0

    def run(self) -> None:
        """Chaos, then the end. Raises Wrong."""
        recheck._seen.clear()
        with self._edges():
            for _ in range(self.rng.randint(*STEPS)):
                self._step()
            self._end()

    @contextmanager
    def _edges(self) -> Iterator[None]:
        """Put these replicas in the place of ClickHouse."""
        with replaced(
            (session, "Connection", lambda *_: self._connect()),
            (everywhere, "sleep", lambda _: None),
            (everywhere, "monotonic", partial(next, count(0.0, everywhere.LOOK_SECONDS))),
            (seal, "refuse_hidden_rows", lambda *_: None),
        ):
            yield

    def _connect(self) -> SimConnection:
        replicas = self.server.replicas
        if not replicas.up:
            raise SinkUnavailable("no replica answers")
        return SimConnection(self.server, self.rng.choice(replicas.up), self.rng.choice("ab"))

    # steps

    def _step(self) -> None:
        if self.rng.random() < self.pace:
            self._replicate()
        if self.rng.random() < 0.04 and self.clock < HOURS[-1]:
            self.clock += HOUR
        if len(self.actors) < 4 and self.rng.random() < 0.15:
            self._spawn()
        elif self.actors:
            self._advance(self._next(), self.rng.random() < KILLED)
        self._look()

    def _next(self) -> Actor:
        """Whoever is about to insert mostly waits for others: what they do meanwhile is what may go wrong."""
        reading = [actor for actor in self.actors if not actor.statement.startswith("INSERT")]
        return self.rng.choice(reading if reading and self.rng.random() < 0.8 else self.actors)

    def _replicate(self) -> None:
        replicas = self.server.replicas
        replicas.step()
        if len(replicas.up) == len(replicas.each) and self.rng.random() < LOST:
            self.tell("a disk is lost")
            replicas.lose()

    def _spawn(self) -> None:
        waiting = [flush for flush in self.open if flush not in self.writes.values()]
        if self.rng.random() < 0.6 and sum(actor.name.startswith("sealer") for actor in self.actors) < 2:
            self._start("sealer", self._seal)
        elif waiting:
            self._write(self.rng.choice(waiting))
        else:
            self.open.append(self._flush())
            self._write(self.open[-1])

    def _start(self, name: str, function: Callable[[], object]) -> Actor:
        self.born += 1
        actor = Actor(f"{name} {self.born}", function)
        if actor.statement:
            self.actors.append(actor)
        return actor

    def _seal(self) -> None:
        seal.seal(ADDRESS, self._final_until())

    def _final_until(self) -> int:
        """Hours that all sources have passed: what was counted of them is acknowledged (C21)."""
        return min([self.clock, *(hour for flush in self.open if not flush.is_correction for hour in flush.hours)])

    def _flush(self) -> Flush:
        """Cells of the hour that is counted, or, of a partition that was late, of one that may be sealed."""
        self.version += 1
        is_correction = self.rng.random() < CORRECTS and self.clock > FIRST
        hour = self.rng.randrange(FIRST, self.clock, HOUR) if is_correction else self.clock
        rows = [
            (1, 2, hour, 1, hour + 60 * self.rng.randint(0, 1), self.rng.randint(1, 3), self.version, self.version)
            for _ in range(self.rng.randint(1, 3))
        ]
        rows = list({row[4:6]: (*row[:7], version_of(0, row[7])) for row in rows}.values())
        if is_correction:
            self.disturbed[hour] = 0
        return Flush(cells(*rows), frozenset({hour}), is_correction)

    def _write(self, flush: Flush) -> None:
        def write() -> None:
            with self._connect() as connection:
                Cells(connection).write_cells(flush.rows)

        actor = self._start("writer", write)
        if actor.statement:
            self.writes[actor] = flush

    def _advance(self, actor: Actor, kill: bool = False) -> None:
        self.tell(f"{actor.name}{' is killed before' if kill else ''}: {actor.statement[:110]}")
        failed = kill
        try:
            actor.step(kill)
        except SinkUnavailable as error:
            self.tell(f"  {error}")
            failed = True
        if actor.statement:
            return
        self.actors.remove(actor)
        flush = self.writes.pop(actor, None)
        if flush and not failed:
            self.open.remove(flush)
        elif not flush and not failed:
            self._sealed()

    def _sealed(self) -> None:
        """A sealing came to its end: a correction before it is in what readers see, once all replicas have it."""
        unwritten = {hour for flush in self.open for hour in flush.hours}
        lag = any(replica.lags for replica in self.server.replicas.each)
        busy = any(actor.name.startswith("sealer") for actor in self.actors)
        for hour in list(self.disturbed):
            if hour not in unwritten and not lag and not busy:
                del self.disturbed[hour]

    def _look(self) -> None:
        self.readers.look(HOURS, self.disturbed.keys())

    # the end

    def _end(self) -> None:
        """Nothing fails any more: what is to be written is written, and all is sealed."""
        self.server.is_calm = True
        self.server.replicas.calm()
        self._finish(self.actors)
        while self.open:
            self._write(self.open[0])
            self._finish(self.actors)
        self.clock = HOURS[-1]
        until = self._final_until()
        for _ in range(ROUNDS):
            self._start("sealer", self._seal)
            self._finish(self.actors)
        self.server.replicas.calm()
        self.disturbed.clear()
        self._look()
        if (found := {tables.sealed_until for tables in self.server.each}) != {until} and self.version:
            raise Wrong(f"hours are sealed until {found}, not {until}")

    def _finish(self, actors: Sequence[Actor]) -> None:
        while actors:
            self.server.replicas.calm()
            self._advance(actors[0])
