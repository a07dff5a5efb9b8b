"""The Faust tables: the windowed cells of one action each, whose changelog is the source topic itself.

With transport.py the only file that touches Faust's internals (0.15.3): tables take part in assignment and
recovery as Faust's do, but their state is the fold of the source, so nothing is written to or read from a changelog.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.errors import KafkaUnavailable, PintallyError, SinkUnavailable
from pintally.schemas.rows import position_of
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.tally import Tally
from pintally.streams.worker.assignment import Assigned, look_up
from pintally.streams.worker.counters import counters
from pintally.streams.worker.ended import forget_reason
from pintally.streams.worker.first_lines import say_assigned, say_counting
from pintally.streams.worker.outage import CLICKHOUSE, outage_of
from pintally.streams.worker.process import refuse
from pintally.streams.worker.restoring import Restoring

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class CellTable(faust.Table):
    """The cells of one topic: a SourceFold for each assigned partition. The topic is the changelog too."""

    def __init__(self, app: Any, *, action: Action, topic: str, **kwargs: Any) -> None:
        replayed = "replayed_" if topic == replay_topic(app.settings.topics.names[action]) else ""
        super().__init__(app, name=f"{replayed}{action.label}_cells", default=int, **kwargs)
        self.action = action
        self.topic = topic
        self.folds: dict[int, SourceFold] = {}

    @cached_property
    def tally(self) -> Tally:
        """What this process counted of the topic; a source that leaves takes nothing away."""
        return Tally()

    def fold(self, chunk: Chunk) -> int:
        """Fold a chunk into its source's cells, unless the partition is not ours any more. Returns how many are pending
        more than before.

        Raises ChunkRefused for a chunk that does not start at the fold's position.
        """
        fold = self.folds.get(chunk.partition)
        if fold is None:
            return 0
        before = fold.pending_cells
        fold.fold(chunk)
        return fold.pending_cells - before

    def assign(self, assigned: Assigned) -> bool:
        """Keep the source's state if the ledger agrees with it, else begin anew at its base (C15 and C16).

        Returns whether it was kept.
        """
        source, chain = assigned.source, assigned.chain
        kept = self.folds.get(source.partition)
        if kept is not None and kept.source == source:
            if kept.epoch != chain.epoch_start.epoch or kept.rules != chain.rules:
                raise PintallyError(f"the rules of {source} changed while this worker counted it", "Start it again.")
            if kept.position >= max(chain.start, assigned.log_start):
                counters.add("states_kept")
                log.debug("%s: its state is kept, at offset %d", source, kept.position)
                return True
        counters.add("restores")
        log.debug("%s: restored from offset %d on, flushed to %d", source, assigned.base.collect_start, chain.position)
        self.tally.restored += assigned.flushed_again
        keys = self.app.settings.rules.keys
        self.folds[source.partition] = SourceFold(
            source, self.action, chain.rules, chain.epoch_start.epoch, assigned.base, chain.version, self.tally, keys,
            chain.place,
        )  # fmt: skip
        return False


class SourceTables(TableManager):
    """All tables; no changelog topics, no waiting, positions of the folds for seeks and commits."""

    _recovery: "Refold | None" = None

    @cached_property
    def restoring(self) -> Restoring:
        """How far the sources are that were assigned last."""
        return Restoring()

    def add(self, table: CellTable) -> CellTable:
        """Register a table without a changelog topic of its own."""
        self[table.name] = table
        return table

    async def on_start(self) -> None:
        """Faust waits a second here for changelogs; there are none."""
        await self._update_channels()
        await self.recovery.start()

    async def _update_channels(self) -> None:
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()

    @property
    def recovery(self) -> Recovery:
        """Recovery by folding the source again."""
        if self._recovery is None:
            self._recovery = Refold(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    def folds(self) -> Iterator[SourceFold]:
        """The folds of all assigned sources."""
        for table in self.values():
            yield from table.folds.values()

    def positions(self) -> Mapping[TP, int]:
        """The next offset to fold of each source."""
        return {TP(fold.source.topic, fold.source.partition): fold.position for fold in self.folds()}

    def flushed_positions(self) -> Mapping[TP, int]:
        """The offset below which each source is flushed, where this worker knows it."""
        return {
            TP(fold.source.topic, fold.source.partition): position_of(fold.flushed_version)
            for fold in self.folds()
            if fold.flushed_version is not None
        }


class Refold(Recovery):
    """Before the partitions flow: the ledger is read, each source keeps its state or begins at its base, and seeks."""

    _assigned: Sequence[Assigned] = ()
    _kept: Sequence[Assigned] = ()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Called by Faust when it would have restored the tables; all partitions are still paused."""
        await self._wait(self._assign())
        await self._wait(self.app.consumer.perform_seek())
        await super().on_recovery_completed(generation_id)
        self.tables.restoring.all_assigned()
        counters.set("ready", 1)
        say_counting(self._assigned, self._kept)
        forget_reason(self.app.settings.kafka.group_instance_id)

    async def _assign(self) -> None:
        counters.add("assignments")
        self.tables.restoring.begin(monotonic())
        partitions = [(tp.topic, tp.partition) for tp in self.app.consumer.assignment()]
        tables = {table.topic: table for table in self.tables.values()}
        for table in tables.values():
            table.folds = {p: fold for p, fold in table.folds.items() if (table.topic, p) in partitions}
        try:
            self._assigned = await self._look_up(partitions)
            self._kept = [each for each in self._assigned if tables[each.source.topic].assign(each)]
            for each in self._assigned:
                self.tables.restoring.expect(each.source, each.chain.position)
        except PintallyError as error:
            refuse(error)
        say_assigned(self._assigned)

    async def _look_up(self, partitions: list[tuple[str, int]]) -> list[Assigned]:
        kafka, topics, rules = self.app.settings.sources
        while True:
            try:
                found = await asyncio.to_thread(look_up, kafka, topics, rules, self.app.sink, partitions)
            except (SinkUnavailable, KafkaUnavailable) as error:
                counters.add("ledger_waits")
                outage_of(error).away(error.what, "the ledger and the log's ends, before counting begins")
                self.app.consumer.stay()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                CLICKHOUSE.back()
                return found
