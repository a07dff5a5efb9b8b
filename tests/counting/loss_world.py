"""Shards in memory whose log loses its beginning: what `accept-loss` gives up, and what is counted all the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pintally.schemas.actions import Action
from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.rows import EPOCH_SHIFT, LostKind, LostRow, SourceLedger, StartRow, position_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks import maintained_shards
from pintally.sinks.maintained_shards import MaintainedShards
from pintally.streams.counting.fold import ChunkRefused, RecordsGone, SourceFold
from pintally.streams.counting.log import Chunk, Offsets
from pintally.streams.counting.recovery import effective, follow, ruling
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.operations.change.epoch_starts import apply_change
from pintally.streams.operations.change.lacking import NOT_COUNTED
from pintally.streams.operations.change.lost import change_of, plan_lost
from pintally.streams.operations.repair.refold import Folded, Stretch
from pintally.streams.operations.repair.rewrite import repair_slice
from pintally.streams.operations.repair.segments import Shape, base_of_segment, segments
from pintally.streams.worker.assignment import _assigned
from tests.controls.switch import replaced
from tests.counting.shard_world import Key, Shard, ShardSession, Truth, Violation, Worker, World, truth_of_recount
from tests.simulation.logs import KEYS, NAMED, T0, SimLog
from tests.support.memory_sink import MemorySession
from tests.support.reference import recount

PASSES, TRIES, LAST_EPOCH = 5, 60, 1 << 16


class LossShard(Shard):
    """A shard on which maintenance may end at each step too."""

    def open_session(self) -> MemorySession:
        if self.world.is_faulty():
            raise SinkUnavailable("away")
        return LossSession(self)


class LossSession(ShardSession):
    def write_lost(self, rows: Any) -> None:
        self._write("write_lost", rows)

    def delete_superseded(self) -> None:
        self._write("delete_superseded")


class LossWorld(World):
    """Retention overtakes the counting, shards are restored from before, and an operator accepts what is lost."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.shards = [LossShard(self, n) for n in range(self.rules.shards)]
        self.sink.shards = self.shards
        self.maintained = MaintainedShards(self.shards, lambda ledgers: furthest_behind(ledgers))
        self.log_start = {source: log.start for source, log in self.logs.items()}
        self.maintains = False

    def run(self) -> None:
        with replaced((maintained_shards, "side_by_side", self.in_any_order)):
            super().run()

    def in_topic(self, _topic: str) -> Rules:
        """The rules of every topic."""
        return self.rules

    def fault(self) -> str:
        """What a command that has ended says is not applied later: it is planned again by what is there."""
        found = super().fault()
        return "lost" if found == "later" and self.maintains else found

    def act(self) -> None:
        kind = self.rng.random()
        if kind < 0.03:
            self.trim()
        elif kind < 0.05:
            self.accept()
        else:
            super().act()

    def trim(self) -> None:
        """Retention deletes what is before some offset, whether it is counted or not."""
        source = self.rng.choice(list(self.logs))
        reached = max((row.position for shard in self.shards for row in shard.ledger.values()), default=0)
        self.log_start[source] = max(
            self.log_start[source], min(self.logs[source].end, reached - self.rng.randint(-2, 12))
        )

    def ends(self, source: Source) -> Offsets:
        """Of its log as it is now."""
        end = self.logs[source].end
        return Offsets(self.log_start[source], end, end)

    def begin(self, worker: Worker, source: Source) -> bool:
        try:
            with self.sink.session() as session:
                ledger = session.read_ledgers([source])[source]
                if not ledger.starts:
                    session.write_starts([StartRow(source, 0, self.log_start[source], 0, self.rules.to_json())])
                    ledger = session.read_ledgers([source])[source]
            assigned = _assigned(self, source, ledger, self.ends(source))  # type: ignore[arg-type]  # it has the rules
        except SinkUnavailable:
            return False
        except Refusal as refusal:
            if "repair" in refusal.remedy:
                self.repair(source)
            self.accept()
            return False
        chain = assigned.chain
        epoch = chain.epoch_start.epoch
        worker.folds[source] = SourceFold(
            source, Action.SAVE, self.rules, epoch, assigned.base, chain.version, keys=KEYS
        )
        return True

    def fold(self, worker: Worker, most: int = 8) -> bool:
        for source, fold in list(worker.folds.items()):
            if fold.position < self.log_start[source]:
                del worker.folds[source]
        try:
            return super().fold(worker, most)
        except RecordsGone:
            self.accept()
            return True

    def accept(self) -> None:
        """As `pintally accept-loss`, whose group is empty."""
        self.workers.clear()
        self.maintains = True
        try:
            for _ in range(PASSES):
                with self.maintained.session() as session:
                    ledgers = session.read_ledgers(list(self.logs))
                    ends = {source: self.ends(source) for source in self.logs}
                    found = plan_lost(self.in_topic, ledgers, ends, {}, session.slice_sums, T0 // 1000)
                    if not found:
                        break
                    apply_change(session, change_of(found))
        except SinkUnavailable:
            pass
        finally:
            self.maintains = False

    def repair(self, source: Source) -> None:
        """As `pintally repair` fills the first hole that the log can fill."""
        self.maintains = True
        try:
            with self.maintained.session() as session:
                ledger = session.read_ledgers([source])[source]
                hole = next((each for each in segments(ledger) if each.shape is Shape.HOLE), None)
                if hole is None or base_of_segment(hole, ledger).collect_start < self.log_start[source]:
                    return
                base = base_of_segment(hole, ledger)
                stretch = Stretch(source, Action.SAVE, hole.begin.epoch, hole.rules, base, hole.end, KEYS)
                for folded in asyncio.run(_all(stretch, self.logs[source])):
                    repair_slice(session, folded, None, complete=True, cells_from={}, letters_from=0)
        except SinkUnavailable:
            pass
        finally:
            self.maintains = False

    def end(self) -> None:
        self.rate = 0.0
        for shard in self.shards:
            shard.land()
        for _ in range(TRIES):
            worker = self.workers[0] if self.workers else Worker()
            self.workers = [worker]
            while worker in self.workers and self.fold(worker, 100):
                pass
            if worker in self.workers and self.flush(worker) and worker in self.workers and self.flush(worker):
                break
        else:
            raise Violation("it does not come to the end")
        self.judge()

    # what must be

    def check(self, shard: Shard, *, whole: bool = False) -> None:
        """At the end."""

    def judge(self) -> None:
        """What no loss names is counted on its shard, nothing counts twice, and `verify` can add up the rest."""
        with self.maintained.session() as session:
            session.delete_superseded()
            found = session.read_ledgers(list(self.logs))
        for source, ledger in found.items():
            lives = list(_lives(ledger, self.logs[source], self.rules))
            for shard in self.shards:
                for life in lives:
                    life.check(shard, source)
            self.check_cells(source, lives)
            self.check_sums(ledger)

    def check_cells(self, source: Source, lives: "Sequence[Life]") -> None:
        """Each cell is what it was at its version."""
        for shard in self.shards:
            for kind, cells in shard.tables.items():
                for (owner, block, arrived, _, *cell), (version, *values) in cells.items():
                    if owner != source.id:
                        continue
                    life = next(each for each in reversed(lives) if each.epoch <= version >> EPOCH_SHIFT)
                    key = block, arrived, kind, *cell
                    if life.truth.shard[key] != shard.number:
                        raise Violation("a cell is on another shard")
                    if values != life.truth.at(key, position_of(version))[: len(values)]:
                        raise Violation("a cell is not what it was at its version")

    def check_sums(self, ledger: SourceLedger) -> None:
        """As `verify` does: of complete slices that all shards have, unless they are given up."""
        complete = [follow(each).complete for each in ledger.of_shards]
        given_up = {
            row.start
            for row in (row for rows in complete for row in rows)
            if any(lost.start < row.position and row.start < lost.end for lost in effective(ledger))
        }
        chains = [[row for row in rows if row.start not in given_up] for rows in complete]
        if any(chain != chains[0] for chain in chains):
            raise Violation("in the end ledgers differ")
        begins = {row.start for row in chains[0]} | {row.start for row in ruling(ledger.starts)}
        for row in chains[0]:
            if row.position not in begins:
                continue
            for kind in {kind for shard in self.shards for kind in shard.tables}:
                name = row.source.id, row.slice_block, row.arrived_at
                cells = [each for shard in self.shards for key, each in shard.tables[kind].items() if key[:3] == name]
                if sum(values[1] for values in cells) != row.check_sums.get(kind.table, 0):
                    raise Violation("the cells of all shards are not what a ledger row counted")


@dataclass
class Life:
    """What is counted from one start on, until the log lost what came next."""

    epoch: int
    ends: int  # the epoch of the next life
    truth: Truth
    counted_to: int  # offset: all before it must be counted
    goes_on_at: int  # none from here on may be
    damaged: Sequence[LostRow]

    def check(self, shard: Shard, source: Source) -> None:
        """What no lost range of this shard names is there, once."""
        for key, offsets in self.truth.cells.items():
            if self.truth.shard[key] != shard.number:
                continue
            must = sum(offset < self.counted_to and not self.is_damaged(offset, shard.number) for offset in offsets)
            may = sum(offset < self.goes_on_at for offset in offsets)
            if not must <= self.of(shard, source, key) <= may:
                raise Violation("a cell lacks what no loss names, or counts what it must not")

    def of(self, shard: Shard, source: Source, key: Key) -> int:
        """What a shard has of a cell of this life."""
        block, arrived, kind, *cell = key
        version, events, *_ = shard.tables[kind].get((source.id, block, arrived, int(Action.SAVE), *cell), (0, 0))
        return events if self.epoch <= version >> EPOCH_SHIFT < self.ends else 0

    def is_damaged(self, offset: int, number: int) -> bool:
        """Whether a lost range says that this shard may lack the offset."""
        return any(
            row.start <= offset < row.end and (NOT_COUNTED not in row.note or f"{NOT_COUNTED} {number} " in row.note)
            for row in self.damaged
        )


def _lives(ledger: SourceLedger, log: SimLog, rules: Rules) -> Iterator[Life]:
    """Counting begins anew behind each lost range, without the ids before it."""
    trimmed = [row for row in effective(ledger) if row.kind is LostKind.TRIMMED]
    lost = {(row.epoch, row.end): row for row in sorted(trimmed, key=lambda row: -row.start)}
    damaged = [row for row in effective(ledger) if row.kind is LostKind.DAMAGED]
    first = ruling(ledger.starts)[0]
    begins = [first, *(start for start in ledger.starts if (start.epoch, start.start) in lost and start != first)]
    for start, after in zip(begins, [*begins[1:], None], strict=True):
        gap = lost[after.epoch, after.start] if after else None
        truth = _truth_from(log, rules, start)
        ends = (gap.epoch, gap.start, gap.end) if gap else (LAST_EPOCH, log.end, log.end)
        yield Life(start.epoch, ends[0], truth, *ends[1:], damaged)


def _truth_from(log: SimLog, rules: Rules, start: StartRow) -> Truth:
    """The recount from a start row on."""
    found = recount(
        log.records, start.start, log.end, rules, log.action, start.start_stream_time, named=NAMED, keys=KEYS
    )
    return truth_of_recount(found, rules)


async def _all(stretch: Stretch, log: SimLog) -> list[Folded]:
    async def chunks() -> AsyncIterator[Chunk]:
        yield log.chunk(stretch.base.collect_start, stretch.end)

    return [folded async for folded in stretch.fold(chunks())]


def first_failure(seeds: range) -> tuple[int, str] | None:
    """The first seed whose run is not exact, and what was found."""
    for seed in seeds:
        try:
            LossWorld(seed).run()
        except (Violation, ChunkRefused, KeyError, ValueError) as error:
            return seed, repr(error)
    return None
