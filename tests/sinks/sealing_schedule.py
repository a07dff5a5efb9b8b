"""Seeded schedules of sealing on a real ClickHouse: several actors, of whom one does one statement at a time.

`python -m tests.sinks.sealing_schedule --seeds 500` runs many, on the ClickHouse that the settings name.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from pintally.schemas.cells import ArmMemberRows, CellRows, PinMemberRows, PinMinuteRows
from pintally.schemas.label_column import UNKNOWN
from pintally.schemas.rows import StartRow, version_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing import recheck
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.sinks.sealing import HOUR, TODAY, YESTERDAY, reopen_from
from tests.support import actors
from tests.support.cells import cells

STEPS = 120
ABOVE = 3  # users with more events in an hour are flagged
ACTORS = 6  # in a schedule
WRITTEN = (YESTERDAY + 3 * HOUR, YESTERDAY + 4 * HOUR)  # hours that are written to
SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
ROLLED_UP = ("pin_hour_breakdowns", "pin_hours", "pin_day_breakdowns", "pin_days")
OF_USERS = ("pin_members", "flagged_users", "pin_user_states", "pin_hour_users", "pin_day_users", "user_seals")
OF_ARMS = ("arm_members", "arm_day_users", "arm_day_seals")
TABLES = ("pin_minutes", *ROLLED_UP, "sealed", "seal_numbers", "ingest_starts", *OF_USERS, *OF_ARMS)
CELLS = ("INSERT INTO pin_minutes", "INSERT INTO pin_members", "INSERT INTO arm_members")

# Of each window and pin: the counts by each label of each dimension, and those of all labels together.
UNEQUAL = """
SELECT w, pin_id, of, name FROM
(
    SELECT toStartOf{unit}(minute) AS w, pin_id, of,
        multiIf(of = 'surface', surface, of = 'platform', platform, '') AS name,
        toInt64(events) AS n, toInt64(trusted) AS t
    FROM minutes_read ARRAY JOIN ['surface', 'platform', 'all'] AS of
    UNION ALL
    SELECT window_start, pin_id, 'all', '', -toInt64(saves), -toInt64(trusted_saves) FROM pin_engagement_{view}
    UNION ALL
    SELECT window_start, pin_id, toString(dimension), label, -toInt64(saves), -toInt64(trusted_saves)
    FROM pin_breakdown_{view}
)
GROUP BY w, pin_id, of, name HAVING sum(n) != 0 OR sum(t) != 0
"""
USERS = """
SELECT w, pin_id, groupArray(n) FROM
(
    SELECT toStartOf{unit}(hour) AS w, pin_id, toInt64(uniqExact(user_hash)) AS n
    FROM pin_members FINAL WHERE events > 0 GROUP BY w, pin_id
    UNION ALL
    SELECT window_start, pin_id, -toInt64(users) FROM pin_users_{view}
)
GROUP BY w, pin_id HAVING sum(n) != 0
"""
UNFLAGGED = f"""
SELECT w, pin_id, groupArray(n) FROM
(
    SELECT toStartOf{{unit}}(hour) AS w, pin_id, toInt64(sum(trusted)) AS n
    FROM (SELECT *, sum(events) OVER (PARTITION BY hour, user_hash) AS of_user FROM pin_members FINAL)
    WHERE of_user <= {ABOVE} GROUP BY w, pin_id
    UNION ALL
    SELECT window_start, pin_id, -toInt64(unflagged_saves) FROM pin_users_{{view}}
)
GROUP BY w, pin_id HAVING sum(n) != 0
"""
ARMS = """
SELECT d, name, of_arm, groupArray(n) FROM
(
    SELECT toStartOfDay(hour) AS d, toString(experiment) AS name, toString(arm) AS of_arm,
        toInt64(uniqExact(user_hash)) AS n
    FROM arm_members FINAL WHERE events > 0 GROUP BY d, name, of_arm
    UNION ALL
    SELECT day, toString(experiment), toString(arm), -toInt64(users) FROM arm_day_users
    WHERE days = 1 AND (day, seal) IN (SELECT day, rows_seal FROM arm_day_seals FINAL WHERE NOT is_open)
)
GROUP BY d, name, of_arm HAVING sum(n) != 0
"""


class Wrong(AssertionError):
    """Readers see what does not add up, or sealing moved back."""


class Actor(actors.Actor):
    """One of the schedule, and what is known of its second looks."""

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        self.before: set[str] = set()  # whose second looks it takes
        self.settling = False  # it has written what may not add up until it has looked again
        super().__init__(name, function)


@dataclass(frozen=True)
class Writer:
    """A flush of some cells."""

    address: ClickHouseAddress
    rows: Sequence[CellRows]

    def __call__(self) -> None:
        with ClickHouseSink(self.address).session() as session:
            session.write_cells(*self.rows)


@contextmanager
def gated(note: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Every statement of an actor waits for the schedule. `note` is told of each one that was executed."""
    execute = Connection.execute

    def gate(self: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        if actor := getattr(actors.current, "actor", None):
            actor.wait(sql, args)
        try:
            return execute(self, sql, *args, **kwargs)
        finally:
            note(sql)

    with patch.object(Connection, "execute", gate):
        yield


class Schedule:
    """One seed: sealers, writers and one who opens hours again, in turns; a reader looks after every change."""

    def __init__(self, seed: int, address: ClickHouseAddress, tell: Callable[[str], None] = lambda _: None) -> None:
        self.rng = Random(seed)
        self.unknown = self.rng.choice((0.0, 0.5, 0.9))  # share of cells that name no label
        self.users = seed % 4 == 2  # whether users, of pins and of arms, are counted and sealed too
        self.own = Random(f"users {seed}")
        self.address = address
        self.tell = tell
        self.actors: list[Actor] = []
        self.born = 0
        self.version = 0
        self.again: list[Sequence[CellRows]] = []  # writes whose worker was killed: whoever comes after it repeats them
        self.until = 0
        self.unlooked: set[str] = set()  # sealers that were killed before their second look: the next sealing takes it

    def run(self) -> None:
        """Raises Wrong."""
        recheck._seen.clear()  # numbers begin anew
        with Connection(self.address, 30) as self.reader:
            for table in TABLES:
                self.reader.execute(f"TRUNCATE TABLE {table}")
            self._begin()
            with gated():
                for _ in range(STEPS):
                    self._step()
                while self.actors:
                    self._advance(self.actors[0])
                while self.again:
                    self._repeat()
                    while self.actors:
                        self._advance(self.actors[0])
            self._end()

    def _begin(self) -> None:
        starts = [StartRow(SOURCE, g, at, YESTERDAY * 1000, Rules().to_json()) for g, at in ((0, 0), (1, 500_000))]
        with ClickHouseSink(self.address).session() as session:
            session.write_starts(starts)
            session.write_cells(*self._flush(WRITTEN, of_members=0.0))
        if self.users and self.own.random() < 0.5:  # all is sealed, and to be sealed again after what is written
            self._seal()

    def _flush(self, hours: Sequence[int] = WRITTEN, of_members: float = 0.3) -> Sequence[CellRows]:
        """What one flush writes; or, in that share of cases, a repair of members alone."""
        minutes = self._cells(hours)
        if not self.users:
            return (minutes,)
        members = self._members(minutes)
        return members if self.own.random() < of_members else (minutes, *members)

    def _members(self, minutes: PinMinuteRows) -> Sequence[CellRows]:
        """Users of the same pins and hours, and of an arm each; some rows are void."""
        users = {
            (hour // HOUR * HOUR, pin, surface, self.own.randint(1, 4)): version
            for hour, pin, surface, version in minutes.tuples(("minute", "pin_id", "surface", "version"))
        }
        counts = (0, 0), (1, 1), (2, 1), (1, 0), (self.version, 1)
        rows = [
            (SOURCE.id, 2, YESTERDAY, version, 1, hour, pin, surface, 1, user, *self.own.choice(counts))
            for (hour, pin, surface, user), version in users.items()
        ]
        arms = [
            (SOURCE.id, 2, YESTERDAY, version, 1, hour, "checkout", "ab"[user % 2], 1, user, self.own.choice((0, 1, 2)))
            for (hour, user), version in {(hour, user): at for (hour, _, _, user), at in users.items()}.items()
        ]
        return PinMemberRows.of(zip(*rows, strict=True)), ArmMemberRows.of(zip(*arms, strict=True))

    def _cells(self, hours: Sequence[int]) -> PinMinuteRows:
        """One flush: a few cells of these hours; some are superseded."""
        rows = []
        self.version += 1
        for _ in range(self.rng.randint(1, 3)):
            minute = self.rng.choice(hours) + 60 * self.rng.randint(0, 1)
            epoch = self.rng.choice((0, 1, 1, 1))
            version = version_of(epoch, 600_000 + self.version)
            pin = self.rng.randint(1, 2) + 10 * (epoch == 0)
            surface, platform = self.rng.choice(("home", "search")), self.rng.choice(("ios", "web"))
            if self.rng.random() < self.unknown:
                surface = platform = UNKNOWN
            trusted = self.rng.randint(0, self.version)
            key = (SOURCE.id, 2, YESTERDAY, 1, minute, pin)
            rows.append((*key, self.version, version, surface, platform, trusted))
        return cells(*rows)

    def _start(self, kind: str, function: Callable[[], object]) -> Actor:
        self.born += 1
        actor = Actor(f"{kind} {self.born}", function)
        actor.before = set(self.unlooked)
        self.actors.append(actor)
        return actor

    def _seal(self) -> None:
        seal(self.address, TODAY)
        if self.users:
            seal_users(self.address, 1, ABOVE)
            seal_arm_users(self.address, 1)

    def _writer(self, rows: Sequence[CellRows]) -> Writer:
        return Writer(self.address, rows)

    def _step(self) -> None:
        if (len(self.actors) < 2 or self.rng.random() < 0.05) and self.born < ACTORS:
            self._spawn()
        elif self.actors:
            actor = self.rng.choice(self.actors)
            publishes = actor.statement.startswith("INSERT INTO sealed") and not _opens(
                actor.statement, actor.arguments
            )
            if publishes and self.rng.random() < 0.3:  # the worst moment for a row to come
                hours = [start for _, start, *_ in actor.arguments[0] if start in WRITTEN] or WRITTEN
                writer = self._start("writer", self._writer(self._flush(hours)))
                while writer.statement:
                    self._advance(writer)
            self._advance(actor, kill=self.rng.random() < 0.04)

    def _spawn(self) -> None:
        kind = self.rng.choice(("sealer", "sealer", "writer", "writer", "opener"))
        if kind == "sealer":
            self._start(kind, self._seal)
        elif kind == "writer" and self.again:
            self._repeat()
        elif kind == "writer":
            self._start(kind, self._writer(self._flush()))
        else:
            moment = self.rng.choice(WRITTEN)
            self._start(kind, lambda: reopen_from(self.address, moment))

    def _repeat(self) -> None:
        """A worker flushes again what was not recorded."""
        self._start("writer", self._writer(self.again.pop())).settling = True

    def _advance(self, actor: Actor, kill: bool = False) -> None:
        statement, arguments = actor.statement, actor.arguments
        repeat = not kill and statement.startswith(tuple(f"INSERT INTO {table} " for table in ROLLED_UP))
        if statement:
            if repeat and self.rng.random() < 0.3:
                self.tell("an insert is done twice")
                self.reader.execute(statement, *arguments)
            self.tell(f"{actor.name}{' is killed before' if kill else ''}: {' '.join(statement.split())[:90]}")
            actor.step(kill)
        if kill and actor.settling and actor.name.startswith("sealer"):
            self.unlooked.add(actor.name)
        elif not actor.statement and actor.name.startswith("sealer"):
            self.unlooked -= actor.before
        if kill and actor.settling and isinstance(actor.function, Writer):
            self.again.append(actor.function.rows)
        if not actor.statement:
            self.actors.remove(actor)
        if kill or not statement.startswith(("INSERT", "DELETE")):
            if actor.settling and not actor.statement:
                self._look(statement)
            return
        opens = _opens(statement, arguments)
        if statement.startswith(CELLS):
            actor.settling = True  # until it ends: it looks whether an hour was sealed meanwhile
        elif actor.name.startswith("sealer") and statement.startswith(("INSERT INTO sealed", "INSERT INTO pin")):
            actor.settling = statement.startswith("INSERT INTO sealed") and not opens  # until it has looked again
        self._look(statement, opens)

    def _look(self, statement: str, opens: bool = False) -> None:
        """What a reader sees after this statement."""
        until = self.reader.rows("SELECT toUnixTimestamp(sealed_until) FROM seal_state")[0][0]
        if until < self.until and not opens:
            raise Wrong(f"sealed_until went back from {self.until} to {until} by {statement[:60]}")
        self.until = until
        if self.again or self.unlooked or any(actor.settling and actor.statement for actor in self.actors):
            return
        self._compare()

    def _compare(self) -> None:
        for unit, view in (("Hour", "1h"), ("Day", "1d")):
            if wrong := self.reader.rows(UNEQUAL.format(unit=unit, view=view)):
                raise Wrong(f"{view} is not the sum of minutes: {wrong}")

    def _compare_users(self) -> None:
        """Once all that is due was sealed."""
        if self.users:
            seal_users(self.address, 1, ABOVE)
            seal_arm_users(self.address, 1)
        if wrong := self.reader.rows(ARMS):
            raise Wrong(f"users of arms of a day are not those of its members: {wrong}")
        for unit, view in (("Hour", "1h"), ("Day", "1d")):
            if wrong := self.reader.rows(USERS.format(unit=unit, view=view)):
                raise Wrong(f"users of {view} are not those of its members: {wrong}")
            if wrong := self.reader.rows(UNFLAGGED.format(unit=unit, view=view)):
                raise Wrong(f"{view} is not what users that are not flagged did: {wrong}")

    def _end(self) -> None:
        if not self.unlooked:
            self._compare()
        result = seal(self.address, TODAY)
        if result.sealed_until != TODAY or result.unsettled:
            raise Wrong(f"sealing does not come to its end: {result}")
        self._compare()
        self._compare_users()
        if self.reader.rows("SELECT 1 FROM superseded_cells LIMIT 1"):
            raise Wrong("superseded rows were sealed")
        if self.reader.rows("SELECT open_hours, open_days FROM seal_state") != [([], [])]:
            raise Wrong("something is left open")


def _opens(statement: str, arguments: Any) -> bool:
    """Whether a statement has hours read from minutes again."""
    return statement.startswith("INSERT INTO sealed") and any(row[3] for row in arguments[0])


def first_failure(seeds: range, address: ClickHouseAddress) -> int | None:
    """The first of these seeds whose schedule goes wrong."""
    for seed in seeds:
        try:
            Schedule(seed, address).run()
        except Wrong:
            return seed
    return None


def main() -> int:

    from pintally.streams.settings import load_settings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    asked = parser.parse_args()
    address = load_settings().clickhouse.model_copy(update={"database": f"sealing_{uuid4().hex[:8]}"})
    migrate(address)
    try:
        failed = first_failure(range(asked.start, asked.start + asked.seeds), address)
        if failed is not None:
            try:
                Schedule(failed, address, print).run()
            except Wrong as wrong:
                print(wrong)
            print(f"seed {failed} failed")
            return 1
    finally:
        with Connection(address, 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{address.database}`")
    print(f"{asked.seeds} schedules of sealing from seed {asked.start}: every sum adds up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
