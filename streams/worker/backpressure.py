"""Backpressure: pause while too many cells wait for the sink, seek again where a chunk went missing (C4, C9)."""

import logging
from time import monotonic
from typing import Protocol

from aiokafka.errors import IllegalStateError
from faust.types import TP

from pintally.streams.settings import Settings
from pintally.streams.worker.counters import counters
from pintally.streams.worker.flush import Flusher
from pintally.streams.worker.table import SourceTables
from pintally.streams.worker.transport import ChunkConsumer

log = logging.getLogger(__name__)

STUCK_SECONDS = 2.0


class Worker(Protocol):
    """What Backpressure asks of the app it belongs to."""

    consumer: ChunkConsumer
    tables: SourceTables
    flusher: Flusher
    settings: Settings

    def queued(self, topic: str) -> bool:
        """Whether chunks of a topic wait for their agent."""


class Backpressure:
    """Watches the distance between what is fetched, folded and flushed."""

    def __init__(self, app: Worker) -> None:
        self.app = app
        self.is_full = False  # and so all sources are paused
        self._pending = 0  # cells: those of the last sum over all folds, and those that were folded since
        self._behind: dict[TP, tuple[int, float]] = {}  # source -> position below the fetch position, since when

    def folded(self, more: int) -> None:
        """So many more cells are pending. A sum over 1,000 folds at each chunk cost as much as 400 events."""
        self._pending += more
        if self._pending >= self.app.settings.worker.max_pending_cells:
            self.pause_if_full()

    def pause_if_full(self) -> None:
        """Pause all sources at `max_pending_cells`; resume at half of it. Polling goes on meanwhile.

        Sources that wait for an acknowledgement of their dead letters are paused in any case: what is folded of them
        and cannot be flushed would fill the memory of all.
        """
        consumer, flusher, limit = self.app.consumer, self.app.flusher, self.app.settings.worker.max_pending_cells
        pending = self._pending = flusher.pending_cells
        if pending >= limit and not self.is_full:
            self.is_full = True
            counters.add("pauses")
            log.warning(
                "reading pauses: %d cells wait for ClickHouse (PINTALLY_MAX_PENDING_CELLS=%d)", pending, limit,
                extra={"pending_cells": pending},
            )  # fmt: skip
        elif pending <= limit // 2 and self.is_full:
            self.is_full = False
            counters.add("resumptions")
            log.warning("reading goes on: %d cells wait for ClickHouse", pending, extra={"pending_cells": pending})
        waiting = {TP(source.topic, source.partition) for source in flusher.waiting}
        consumer.pause(consumer.assignment() if self.is_full else waiting)  # each time: a rebalance may bring others

    async def seek_again(self, topic: str, partition: int) -> None:
        """Ask for the chunk that starts at the fold's position."""
        try:
            await self.app.consumer.seek_to_folds([TP(topic, partition)])
        except IllegalStateError:
            log.debug("%s[%d] is not ours any more", topic, partition, extra={"topic": topic, "partition": partition})

    async def seek_stuck(self) -> None:
        """Seek again where the fold stays below the fetch position with nothing queued: the tail was dropped."""
        now, behind = monotonic(), {}
        for tp, position in self.app.tables.positions().items():
            fetched = self.app.consumer.fetch_position(tp)
            if fetched is None or position >= fetched or self.app.queued(tp.topic):
                continue
            before, since = self._behind.get(tp, (position, now))
            behind[tp] = (position, since if before == position else now)
            if before == position and now - since >= STUCK_SECONDS:
                log.info(
                    "%s[%d] stays at offset %d, though it is fetched to %d: it is fetched again",
                    *tp, position, fetched,
                    extra={"topic": tp.topic, "partition": tp.partition, "offset": position, "end": fetched},
                )  # fmt: skip
                counters.add("seeks")
                await self.seek_again(*tp)
                del behind[tp]
        self._behind = behind
