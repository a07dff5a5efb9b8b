"""Who acts in a schedule of cuts: workers, sealers, an operator, and ClickHouse itself, which may go back to a copy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import recheck
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.sinks import sealing_schedule
from tests.sinks.known_features import Reader, Vector
from tests.sinks.known_log import TEN, Feed, Logs
from tests.sinks.sealing import HOUR

LATENESSES = (HOUR, HOUR, HOUR, 2 * HOUR)  # of the rules that a sealer knows
TABLES = ("pin_minutes", "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base", "hour_tops", "tile_tops",
          "feature_seals", "cuts", "seal_numbers", "sealed", "ingest_starts")  # fmt: skip
ROWS = tuple(f"INSERT INTO {table}" for table in TABLES[1:7])


@dataclass(frozen=True)
class Answer:
    """What a reader was told."""

    moment: str
    cut: int
    rows: tuple[Any, ...]


@dataclass
class Copy:
    """ClickHouse at an earlier moment, and how far its ledger was then."""

    feeds: list[tuple[int, int, int, bool]]  # flushed, epoch, epoch_start, listed
    answers: int


class Actor(sealing_schedule.Actor):
    """One of the schedule, and what it is about to change."""

    flush: tuple[Feed, int, int] | None = None  # a worker's: the offset up to which it flushes, and its epoch
    change: tuple[Feed, int] | None = None  # an operator's: the offset from which other rules hold


class Actors:
    """All of them, and how one goes on."""

    reader: Connection
    sight: Reader  # what it sees of the tables

    def __init__(self, seed: int, address: ClickHouseAddress, tell: Callable[[str], None] = lambda _: None) -> None:
        self.rng = Random(seed)
        self.address = address
        self.tell = tell
        self.logs = Logs(self.rng)
        self.actors: list[Actor] = []
        self.born = 0
        self.flushing: dict[int, Actor] = {}  # source -> the worker that flushes it
        self.asleep: list[CellRows] = []  # what workers that are believed dead will write again
        self.half_written: dict[int, int] = {}  # source -> up to where a flush that died has written
        self.operator: tuple[Feed, int] | None = None  # who changes the rules of a source from an offset on
        self.unlooked: set[str] = set()  # sealers that were killed before their second look: the next takes it
        self.disturbed = False  # cells below a published cut changed by right: a backlog, or other rules
        self.newest = self.compared = 0
        self.answers: list[Answer] = []
        self.copy: Copy | None = None
        self.may_go_back = self.rng.random() < 0.3
        self.audit: Callable[[], Sequence[object]] = lambda: ()  # what `verify` finds at the end

    def _spawn(self) -> None:
        kind = self.rng.choice(("sealer", "sealer", "worker", "worker", "worker", "worker", "sleeper", "other"))
        if self.rng.random() < 0.6:
            self.logs.go_on()
        if kind == "sealer":
            self._sealer()
        elif kind == "sleeper" and self.asleep:
            self._start("sleeper", self._writer(self.asleep.pop(self.rng.randrange(len(self.asleep)))))
        elif kind == "other":
            self._other()
        else:
            self._worker()

    def _start(self, kind: str, function: Callable[[], object]) -> Actor:
        self.born += 1
        actor = Actor(f"{kind} {self.born}", function)
        actor.before = set(self.unlooked)
        self.actors.append(actor)
        if not actor.statement:
            self._ended(actor, killed=False)
        return actor

    def _sealer(self) -> None:
        closed, lateness = self._closed(), self.rng.choice(LATENESSES)
        if closed <= self.newest and self.rng.random() < 0.7:
            return
        self.tell(f"closed until {closed}")
        self._start("sealer", lambda: seal_cuts(self.address, closed, lateness))

    def _closed(self) -> int:
        return self.logs.closed()

    def _worker(self, feed: Feed | None = None) -> Actor | None:
        """A flush of a source that has something to flush, by the only worker that counts it."""
        waiting = [
            each
            for each in self.logs.listed
            if each.source.id not in self.flushing
            and (each.flushed < len(each.records) or each.source.id in self.half_written)
            and not (self.operator and self.operator[0] is each)
        ]
        if feed is None and not waiting:
            return None
        feed = feed or self.rng.choice(waiting)
        waits = len(feed.records) - feed.flushed
        end = feed.flushed + (self.rng.choice((waits, self.rng.randint(1, waits))) if waits else 0)
        start = feed.flushed
        if feed.collect and start < end:
            start = feed.slice_start(start)
        elif feed.source.id in self.half_written and start:
            start = feed.slice_start(start - 1)
        rows = feed.cells(start, end)
        actor = self._start(f"worker of {feed.source}", self._writer(rows))
        if actor.statement:
            actor.flush = (feed, end, feed.epoch)
            self.flushing[feed.source.id] = actor
            if self.rng.random() < 0.2:
                self.asleep.append(rows)
        else:
            self._flushed(feed, end)
        return actor

    def _flushed(self, feed: Feed, end: int) -> None:
        feed.flushed, feed.collect = max(feed.flushed, end), False
        if feed.flushed >= self.half_written.get(feed.source.id, 0):
            self.half_written.pop(feed.source.id, None)

    def _writer(self, rows: CellRows) -> Callable[[], object]:
        def write() -> None:
            with ClickHouseSink(self.address).session() as session:
                session.write_cells(rows)

        return write

    def _at_the_worst_moment(self) -> None:
        """Cells that no look at Kafka could know of come just before a publication."""
        if not self.logs.backlog.listed:
            self.logs.add_backlog()
            self.tell("a partition with a backlog comes")
        feed = self.logs.backlog
        if feed.source.id in self.flushing or feed.flushed == len(feed.records) or self.operator:
            return
        self.disturbed = True
        writer = self._worker(feed)
        while writer is not None and writer.statement:
            self._advance(writer)

    def _other(self) -> None:
        """What happens rarely."""
        what = self.rng.choice(("backlog", "rules", "copy", "copy"))
        if what == "backlog" and not self.logs.backlog.listed and self.rng.random() < 0.5:
            self.tell("a partition with a backlog comes")
            self.logs.add_backlog()
            self.disturbed = True
        elif what == "rules" and self.operator is None and not self.flushing:
            self._change_rules()
        elif what == "copy" and self.may_go_back and self.operator is None:
            if self.copy is None:
                self._copy()
            else:
                self._go_back()

    def _change_rules(self) -> None:
        """Other rules from the base slice of a source on, as `rules apply` does it: the group is empty."""
        feed = self.rng.choice(self.logs.listed)
        if not feed.flushed or feed.epoch:
            return
        start = feed.slice_start(feed.flushed - 1)
        self.operator = feed, start
        self.disturbed = True
        self._apply(feed, start, again=False)

    def _apply(self, feed: Feed, start: int, *, again: bool) -> None:
        row = feed.start_row(1, start)
        moment = max(0, feed.records[start].stream_time // TEN * TEN - HOUR - 60)
        if feed.is_replay:
            moment = 0

        def apply() -> None:
            with ClickHouseSink(self.address).session() as session:
                if not again:
                    session.reopen_from(moment)
                session.write_starts([row])
                session.delete_superseded()
                if again:
                    session.reopen_unequal()
                session.reopen_from(moment)

        actor = self._start("operator", apply)
        actor.change = (feed, start)

    def _copy(self) -> None:
        for table in TABLES:
            self.reader.execute(f"CREATE OR REPLACE TABLE copy_{table} AS {table}")
            self.reader.execute(f"INSERT INTO copy_{table} SELECT * FROM {table}")
        feeds = [(each.flushed, each.epoch, each.epoch_start, each.listed) for each in self.logs.feeds]
        self.copy = Copy(feeds, len(self.answers))
        flushing = {source: actor.flush[1] for source, actor in self.flushing.items() if actor.flush}
        sealers = {actor.name for actor in self.actors if actor.name.startswith("sealer")}
        self.copied = self.half_written | flushing, self.unlooked | sealers
        self.tell("ClickHouse is copied")

    def _go_back(self) -> None:
        """ClickHouse is the copy again; whoever was connected is not any more."""
        assert self.copy is not None
        self.tell("ClickHouse goes back to the copy")
        for actor in list(self.actors):
            while actor.statement:
                actor.step(kill=True)
        self.actors.clear()
        self.flushing.clear()
        self.operator = None
        self.half_written, self.unlooked = self.copied[0].copy(), self.copied[1].copy()
        for table in TABLES:
            self.reader.execute(f"TRUNCATE TABLE {table}")
            self.reader.execute(f"INSERT INTO {table} SELECT * FROM copy_{table}")
        for feed, (flushed, epoch, epoch_start, _) in zip(self.logs.feeds, self.copy.feeds, strict=True):
            feed.flushed, feed.epoch, feed.epoch_start, feed.collect = flushed, epoch, epoch_start, True
        del self.answers[self.copy.answers :]
        self.asleep.clear()
        self.newest = self.sight.look(self.reader).newest
        recheck._seen.clear()
        self.may_go_back = False

    def _advance(self, actor: Actor, kill: bool = False) -> None:
        statement, arguments = actor.statement.lstrip(), actor.arguments
        before = self._seen() if opens(statement, arguments) and not kill else None
        self.tell(f"{actor.name}{' is killed before' if kill else ''}: {' '.join(statement.split())[:110]}")
        if not kill and statement.startswith(ROWS) and self.rng.random() < 0.05:
            self.tell("an insert is done twice")
            self.reader.execute(statement, *arguments)
        actor.step(kill)
        if kill or not actor.statement:
            self._ended(actor, killed=kill)
        if kill:
            return
        self._settle(actor, statement, arguments)
        if before is not None and self._seen() != before:
            raise sealing_schedule.Wrong(f"readers lost the last publication by {statement[:200]}")
        if statement.startswith(("INSERT", "DELETE", "ALTER")) or not actor.statement:
            self._look()

    def _settle(self, actor: Actor, statement: str, arguments: Any) -> None:
        """Who wrote what may not add up until he has looked again."""
        if statement.startswith("INSERT INTO pin_minutes"):
            actor.settling = True
        elif actor.name.startswith("sealer"):
            if "seal_numbers" in statement:
                actor.settling = False
            if statement.startswith(("INSERT INTO feature_seals", "INSERT INTO cuts")):
                actor.settling = actor.settling or not opens(statement, arguments)
        elif actor.name.startswith("operator"):
            actor.settling = True

    def _ended(self, actor: Actor, *, killed: bool) -> None:
        if actor in self.actors:
            self.actors.remove(actor)
        if actor.name.startswith("sealer"):
            self.unlooked = self.unlooked | {actor.name} if killed else self.unlooked - actor.before
        if actor.flush:
            feed, end, epoch = actor.flush
            del self.flushing[feed.source.id]
            if killed:
                self.half_written[feed.source.id] = max(end, self.half_written.get(feed.source.id, 0))
            elif epoch == feed.epoch:
                self._flushed(feed, end)
        elif killed and actor.name.startswith("sleeper"):
            self._start("sleeper", actor.function)
        if actor.change:
            feed, start = actor.change
            if killed:
                self._apply(feed, start, again=self.rng.random() < 0.5 and self._has_begun(feed))
            else:
                feed.epoch, feed.epoch_start, feed.flushed, self.operator = 1, start, start, None
                feed.collect = False

    def _has_begun(self, feed: Feed) -> bool:
        sql = "SELECT count() FROM ingest_starts WHERE source = %(source)s AND epoch > 0"
        return bool(self.reader.one(sql, source=feed.source.id)[0])

    def _seen(self) -> dict[int, Vector] | None:
        raise NotImplementedError

    def _look(self) -> None:
        raise NotImplementedError


def reads(statement: str) -> bool:
    return statement.lstrip().startswith(("SELECT", "WITH"))


def opens(statement: str, arguments: Any) -> bool:
    """Whether a statement opens windows, and publishes none."""
    if not statement.startswith("INSERT INTO feature_seals"):
        return False
    if "SELECT" in statement:
        return True
    return all(row[4] for row in arguments[0])
