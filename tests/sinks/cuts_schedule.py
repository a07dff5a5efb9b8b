"""Seeded schedules of sealing cuts on a real ClickHouse: several actors, of whom one does one statement at a time.

Workers flush the logs of several sources, among them a replay topic and an old backlog; sealers publish cuts; some of
them sleep or die between two statements; an operator applies rules; ClickHouse goes back to a copy. A reader looks
after every change: what the tables of features give at the newest cut is what the cells that are known at it say.
Answers are kept, and asked again as of then at the end.

`python -m tests.sinks.cuts_schedule --seeds 500` runs many, on the ClickHouse that the settings name.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from uuid import uuid4

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.features.check import check_features
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing import recheck
from pintally.sinks.clickhouse.sealing.cuts import CutsSealed, seal_cuts
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings, load_settings
from tests.sinks.cuts_actors import TABLES, Actors, Answer, reads
from tests.sinks.known_features import Reader, Tables, Vector, expected, read, seen
from tests.sinks.sealing import HOUR
from tests.sinks.sealing_schedule import Wrong, gated

STEPS = 150
ACTORS = 40  # in a schedule
STUCK = 10  # calls of sealing in a row, with nobody beside it, that end alike with something undone
LATEST = "SELECT * FROM pin_features_latest ORDER BY pin_id"
AS_OF = "SELECT * FROM pin_features(as_of = %(moment)s) ORDER BY pin_id"
NOW = "SELECT toString(now64(3, 'UTC'))"


class Schedule(Actors):
    """One seed."""

    # What a control takes away.
    by_seal = by_known_from = True

    def run(self) -> None:
        """Raises Wrong."""
        recheck._seen.clear()  # numbers begin anew
        with Connection(self.address, 30) as self.reader:
            for table in TABLES:
                self.reader.execute(f"TRUNCATE TABLE {table}")
            self._begin()
            self.sight = Reader()
            with gated(self.sight.note):
                for _ in range(STEPS):
                    self._step()
                self._finish()
            self._end()

    def _begin(self) -> None:
        with ClickHouseSink(self.address).session() as session:
            session.write_starts([feed.start_row(0, 0) for feed in self.logs.feeds])
        self.logs.go_on()

    def _step(self) -> None:
        if (len(self.actors) < 3 or self.rng.random() < 0.08) and self.born < ACTORS:
            self._spawn()
            return
        if not self.actors:
            return
        actor = self.rng.choice(self.actors[: 1 + len(self.actors) // 2] if self.rng.random() < 0.6 else self.actors)
        if actor.statement.lstrip().startswith("INSERT INTO cuts") and self.rng.random() < 0.3:
            self._at_the_worst_moment()
        self._advance(actor, kill=self.rng.random() < 0.03)
        while reads(actor.statement) and self.rng.random() < 0.8:  # most of what only reads comes in one turn
            self._advance(actor)

    def _seen(self) -> dict[int, Vector] | None:
        tables = self.sight.look(self.reader)
        return seen(tables, tables.newest, by_seal=self.by_seal) if tables.cuts else None

    def _look(self) -> None:
        """What a reader sees."""
        tables = self.sight.look(self.reader)
        if not tables.cuts:
            return
        self._look_at_cuts(tables)
        if (
            self.half_written
            or self.unlooked
            or self.operator
            or tables.open_windows
            or any(actor.settling for actor in self.actors)
        ):
            return
        self._compare(tables, tables.newest)
        if self.rng.random() < 0.25:
            moment = str(self.reader.one(NOW)[0])
            self.answers.append(Answer(moment, tables.newest, tuple(self.reader.rows(LATEST))))

    def _look_at_cuts(self, tables: Tables) -> None:
        if tables.newest < self.newest:
            raise Wrong(f"the newest cut went back from {self.newest} to {tables.newest}")
        self.newest = tables.newest
        reached = 0
        for cut, until in sorted(tables.cuts.items()):
            if until < reached or until > cut - HOUR:
                raise Wrong(f"hours_until of cut {cut} is {until}, after {reached}")
            reached = until

    def _compare(self, tables: Tables, cut: int) -> None:
        self.compared += 1
        known = expected(tables, cut)
        given = seen(tables, cut, by_seal=self.by_seal, by_known_from=self.by_known_from)
        if known != given:
            pins = {pin: (known.get(pin), given.get(pin)) for pin in known | given if known.get(pin) != given.get(pin)}
            raise Wrong(f"features at cut {cut} are not what is known, by pin (cells, features): {pins}")

    def _finish(self) -> None:
        """Everybody comes to an end, and everything is flushed."""
        while self.actors:
            self._advance(self.actors[0])
        while any(each.flushed < len(each.records) for each in self.logs.listed) or self.half_written:
            self._worker()
            while self.actors:
                self._advance(self.actors[0])

    def _end(self) -> None:
        self.logs.now += HOUR
        results: list[CutsSealed] = []
        for _ in range(60):
            result = seal_cuts(self.address, self.logs.closed(), HOUR)
            if not result.more and not result.unsettled and not result.again and not result.cuts:
                break
            results.append(result)
            if results[-STUCK:] == [result] * STUCK:
                break
        tables = read(self.reader)
        if tables.newest != self.logs.closed() or tables.open_windows:
            raise Wrong(f"sealing does not come to its end: {result}, open {tables.open_windows}")
        if self.reader.rows("SELECT 1 FROM superseded_cells LIMIT 1"):
            raise Wrong("superseded rows were sealed")
        for cut in tables.cuts:
            self._compare(tables, cut)
        self._ask_again(tables)
        if found := self.audit():
            raise Wrong(f"verify finds {found}")

    def _ask_again(self, tables: Tables) -> None:
        """What was answered is answered again, but for windows that were corrected by right."""
        if tables.corrected and not self.disturbed:
            raise Wrong(f"corrected without a reason: {tables.corrected}")
        for answer in self.answers:
            if any(start < answer.cut for _, start in tables.corrected):
                continue
            rows = tuple(self.reader.rows(AS_OF, moment=answer.moment))
            if rows != answer.rows:
                different = set(rows) ^ set(answer.rows)
                raise Wrong(f"answered at {answer.moment} at cut {answer.cut}, and otherwise as of then: {different}")


def without_fsync(address: ClickHouseAddress) -> None:
    """No power fails in a schedule; waiting for the disk is half of its time."""
    with Connection(address, 30) as connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")


def first_failure(seeds: range, address: ClickHouseAddress, of: type[Schedule] = Schedule) -> int | None:
    """The first of these seeds whose schedule goes wrong."""
    for seed in seeds:
        try:
            of(seed, address).run()
        except Wrong:
            return seed
    return None


def audited(settings: Settings) -> Callable[[], Sequence[object]]:
    """What `verify` finds in the tables of features."""

    def audit() -> Sequence[object]:
        with ClickHouse(addresses_of(settings)) as clickhouse:
            return check_features(clickhouse, 0)

    return audit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--tell", action="store_true", help="Tell each step.")
    asked = parser.parse_args()
    settings = load_settings().changed(clickhouse_database=f"cuts_{uuid4().hex[:8]}")
    migrate(settings.clickhouse)
    without_fsync(settings.clickhouse)
    answers = compared = 0
    try:
        for seed in range(asked.start, asked.start + asked.seeds):
            schedule = Schedule(seed, settings.clickhouse, print if asked.tell else lambda _: None)
            schedule.audit = audited(settings)
            try:
                schedule.run()
            except Wrong as wrong:
                print(wrong)
                print(f"seed {seed} failed")
                return 1
            answers += len(schedule.answers)
            compared += schedule.compared
            print(f"\r{seed - asked.start + 1} seeds", end="", file=sys.stderr, flush=True)
    finally:
        with Connection(settings.clickhouse, 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{settings.clickhouse.database}`")
    print(
        f"\n{asked.seeds} schedules of cuts from seed {asked.start}: {compared:,} comparisons of features with cells, "
        f"{answers:,} answers kept, all equal"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
