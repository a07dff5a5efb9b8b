"""Logs of some sources, what a worker writes of them, and which cuts are closed: for schedules of sealing cuts.

Records are folded as docs/counting-rules.md says: the arrival bucket of a record is its source's stream time, rounded
down to ten minutes; slices are cut at it. So whoever flushes up to an offset writes the same cells, also a worker that
slept, and one that begins again after ClickHouse went back.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from pintally.schemas.cells import CellRows
from pintally.schemas.label_column import UNKNOWN
from pintally.schemas.rows import StartRow, version_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from tests.sinks.sealing import HOUR, YESTERDAY
from tests.support.cells import cells

TEN = 600
BEGIN = YESTERDAY - 2 * HOUR  # so that a day begins after some cuts
MARGIN = 300  # of idle sources
RULES = Rules(slice_records=4)


@dataclass(frozen=True, slots=True)
class Record:
    """A counted record of a log; times in seconds since 1970."""

    timestamp: int
    stream_time: int
    action: int
    minute: int
    pin: int


@dataclass(slots=True)
class Feed:
    """One source: its log, and how far workers have counted it."""

    source: Source
    listed: bool = True  # Kafka has it
    is_replay: bool = False
    records: list[Record] = field(default_factory=list)
    flushed: int = 0  # offset: what the ledger covers
    epoch: int = 0
    epoch_start: int = 0
    collect: bool = False  # the next flush writes its slice whole: a worker died or began again

    @property
    def stream_time(self) -> int:
        """The flushed stream time; 0 before the first record."""
        return self.records[self.flushed - 1].stream_time if self.flushed else 0

    def passed(self, looked_at: int) -> int:
        """What it has surely passed, by C22."""
        if self.flushed == len(self.records):
            return max(self.stream_time, looked_at - MARGIN)
        return self.stream_time

    def append(self, timestamp: int, action: int, minute: int, pin: int) -> None:
        """One record more."""
        before = self.records[-1].stream_time if self.records else 0
        self.records.append(Record(timestamp, max(before, timestamp), action, minute // 60 * 60, pin))

    def slice_start(self, offset: int) -> int:
        """The first offset of the slice of a record."""
        at = self._slice(offset)
        while offset and self._slice(offset - 1) == at and offset > self.epoch_start:
            offset -= 1
        return offset

    def _slice(self, offset: int) -> tuple[int, int]:
        return offset // RULES.slice_records, self.records[offset].stream_time // TEN * TEN

    def _counts(self, offset: int) -> bool:
        """Later rules count other records."""
        return (offset + self.epoch) % 5 != 0

    def cells(self, start: int, end: int) -> CellRows:
        """The cells that the records of [start, end) change, as they are when the log is counted to `end`."""
        counts: Counter[tuple[int, int, int, int, int]] = Counter()
        trusted: Counter[tuple[int, int, int, int, int]] = Counter()
        touched: dict[tuple[int, int, int, int, int], int] = {}
        for offset in range(self.slice_start(start) if start < end else end, end):
            record = self.records[offset]
            key = (*self._slice(offset), record.action, record.minute, record.pin)
            if self._counts(offset):
                counts[key] += 1
                trusted[key] += offset % 3 > 0
                touched[key] = max(touched.get(key, 0), offset)
        return cells(
            *(
                (self.source.id, *key, events, version_of(self.epoch, end), UNKNOWN, UNKNOWN, trusted[key])
                for key, events in counts.items()
                if touched[key] >= start
            )
        )

    def start_row(self, epoch: int, start: int) -> StartRow:
        """Where an epoch of rules begins."""
        before = self.records[start - 1].stream_time if start else 0
        return StartRow(self.source, epoch, start, before * 1000, RULES.to_json())


class Logs:
    """All sources, and the time of day."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = BEGIN
        self.feeds = [Feed(Source("engagement.save.v1", UUID(int=1), partition)) for partition in range(3)]
        self.replay = Feed(Source("engagement.replay.save.v1", UUID(int=2), 0), is_replay=True)
        self.backlog = Feed(Source("engagement.save.v1", UUID(int=1), 3), listed=False)
        self.feeds += [self.replay, self.backlog]

    @property
    def listed(self) -> list[Feed]:
        """The sources that Kafka lists now."""
        return [feed for feed in self.feeds if feed.listed]

    def closed(self) -> int:
        """The highest closed cut, by C26; 0 while a source holds all back."""
        reached = [self.now, *(feed.passed(self.now) for feed in self.listed)]
        return min(reached) // TEN * TEN

    def go_on(self) -> None:
        """Some minutes pass, and events come."""
        self.now += self.rng.choice((30, 120, 300, 600, 1200))
        for feed in self.listed:
            if self.rng.random() < (0.2 if feed.is_replay else 0.6):
                for _ in range(self.rng.randint(1, 3)):
                    self._event(feed, self.now - self.rng.randint(0, 20))

    def add_backlog(self) -> None:
        """A partition comes that holds events of hours ago."""
        self.backlog.listed = True
        at = self.rng.randint(BEGIN - HOUR, self.now)
        while at < self.now:
            self._event(self.backlog, at)
            at += self.rng.randint(60, 2400)

    def _event(self, feed: Feed, timestamp: int) -> None:
        last = feed.records[-1].timestamp if feed.records else 0
        timestamp = max(timestamp, last)
        delay = self.rng.randint(2 * HOUR, 6 * HOUR) if feed.is_replay else int(self.rng.expovariate(1 / 600))
        minute = timestamp - min(delay, 50 * 60 if not feed.is_replay else delay)
        feed.append(timestamp, self.rng.randint(1, 3), minute, self.rng.randint(1, 4))
