"""What a worker fetches of the benchmark's log, made in memory: batches as the broker stores them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from bench.shapes import OWN, Shape
from bench.work import Flaws, Work, flawed
from pintally.schemas.actions import Action

START_MS = 1_790_000_000_000
PARTITIONS = 4  # of each topic; number 0 is read
Record = tuple[int, int, bytes]  # time in ms, index of the pin, value
Fetch = tuple[int, int, bytes, int]  # action, offset of the first record, batches, number of records


def make_fetches(events: int, batch: int, fetch_bytes: int, shape: Shape = OWN) -> list[Fetch]:
    """About `events` records of three sources in turn, `batch` records a batch, at most `fetch_bytes` a fetch.

    A shape with smaller batches keeps them.
    """
    work = Work(events * PARTITIONS, START_MS, shape=shape)
    batch = min(batch, shape.batch_records or batch)
    sources = {action: _Source(action, work, batch, fetch_bytes) for action in Action}
    for action, record in _records(work):
        sources[action].add(record)
    return [fetch for turn in zip_longest(*(source.finish() for source in sources.values())) for fetch in turn if fetch]


def _records(work: Work) -> Iterator[tuple[Action, Record]]:
    """The records of partition 0 of each topic."""
    for slab in flawed(work, Flaws()):
        chosen = np.flatnonzero(work.pins.partitions(slab.pin, PARTITIONS) == 0)
        times, pins, actions = (column[chosen].tolist() for column in (slab.occurred, slab.pin, slab.action))
        for at, action, time, pin in zip(chosen.tolist(), actions, times, pins, strict=True):
            yield Action(action), (time, pin, slab.values[at])


@dataclass
class _Source:
    action: Action
    work: Work
    batch: int
    fetch_bytes: int
    fetches: list[Fetch] = field(default_factory=list)
    _pending: list[Record] = field(default_factory=list)
    _written: bytes = b""
    _start: int = 0
    _end: int = 0

    def add(self, record: Record) -> None:
        self._pending.append(record)
        if len(self._pending) == self.batch:
            self._write()

    def finish(self) -> list[Fetch]:
        if self._pending:
            self._write()
        self._fetch()
        return self.fetches

    def _write(self) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, False, -1, 0, 0, 1 << 30)
        for delta, (time, pin, value) in enumerate(self._pending):
            builder.append(delta, time, self.work.pins.key(pin), value, [])
        data = bytearray(builder.build())
        data[:8] = self._end.to_bytes(8, "big")  # its offset, the one field outside of the checksum
        if self._written and len(self._written) + len(data) > self.fetch_bytes:
            self._fetch()
        self._written += data
        self._end += len(self._pending)
        self._pending.clear()

    def _fetch(self) -> None:
        if self._written:
            self.fetches.append((self.action.value, self._start, self._written, self._end - self._start))
        self._written, self._start = b"", self._end
