"""The rows that go to ClickHouse beside cells: the ledger, start rows, dead letters."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pintally.schemas.cells import CELL_TABLES, PinMinuteRows
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.sources import Source

EPOCH_SHIFT: Final = 48
NO_EPOCH: Final = -1  # below every epoch
LAST_OFFSET: Final = (1 << EPOCH_SHIFT) - 1  # a version holds no higher one


def version_of(epoch: int, position: int) -> int:
    """The version of a row: epoch x 2^48 + position, so that whoever read further wins."""
    return (epoch << EPOCH_SHIFT) + position


def position_of(version: int) -> int:
    """The position that a version was made of."""
    return version & LAST_OFFSET


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What is flushed of one slice (C8). The newest version of a (source, slice_block, arrived_at) wins."""

    source: Source
    slice_block: int
    arrived_at: int  # seconds since 1970
    start: int  # offset of the slice's first offset
    start_stream_time: int  # ms: the source's stream time before that offset
    position: int  # next offset to fold; never beyond the slice's end
    stream_time: int  # ms: the source's stream time at `position`
    outcomes: Outcomes  # of this slice alone: outcomes.total == position - start
    cells_sum: int  # sum over the slice's pin-minutes; equals outcomes.counted
    epoch: int
    rules: str  # Rules.fingerprint
    sums: Mapping[str, int] = field(default_factory=dict, hash=False)  # of the other aggregates counted, by table

    @property
    def version(self) -> int:
        """Epoch x 2^48 + position."""
        return version_of(self.epoch, self.position)

    @property
    def check_sums(self) -> dict[str, int]:
        """The check sum of every aggregate that is counted in this slice, by table."""
        return {PinMinuteRows.table: self.cells_sum, **self.sums}


@dataclass(frozen=True, slots=True)
class StartRow:
    """Where an epoch of the rules begins in a source. Written before the source's first cell; lowest start wins."""

    source: Source
    epoch: int
    start: int  # first offset under these rules
    start_stream_time: int  # ms: the source's stream time before `start` (0 where nothing was read before)
    rules: str  # Rules.to_json()


class LostKind(StrEnum):
    """Why offsets are given up for good."""

    TRIMMED = "trimmed"  # retention removed them before they were counted; counting goes on at the range's end
    TRUNCATED = "truncated"  # they were counted, the log lost them, and their counts were taken back
    RETIRED = "retired"  # of a topic that was deleted; its counts stay, and nothing follows
    RECOUNTED = "recounted"  # the ledger was lost, and the log no longer held them when all was counted anew
    DAMAGED = "damaged"  # counted, their rows are not what they were, and the log no longer holds them


@dataclass(frozen=True, slots=True)
class LostRow:
    """Offsets [start, end) that an operator gave up. It takes effect with the start row of its epoch.

    After a trimmed range counting begins anew at `end`, with the stream time carried over and without any earlier ids.
    """

    source: Source
    epoch: int  # begins after the range; of a retired source its last one
    kind: LostKind
    start: int
    end: int
    note: str  # the operator's words


class Replacement(StrEnum):
    """How a topic takes another's place."""

    SAME_OFFSETS = "same_offsets"  # a copy with the same offsets: counting goes on in it under the old one's name
    COPIED = "copied"  # a copy with other offsets: counting goes on behind what the old one's counts tell of
    NEW_RECORDS = "new_records"  # from an offset on it holds what was never counted; an operator said so


@dataclass(frozen=True, slots=True)
class ReplacedRow:
    """One partition of a topic that takes another's place, and of the one whose place it takes.

    Of same offsets it takes effect at once; else with the start row of `source` and `epoch`.
    """

    source: Source  # of the topic that takes the place, by the UUID that Kafka has for it
    old: Source  # of the other one, by the UUID that the ledger has for it
    how: Replacement
    epoch: int
    old_end: int  # offset of the old log below which its counts stay
    start: int  # offset of the new log from which it is counted
    collect_start: int  # offset of the new log from which ids are collected; not above `start`
    collect_stream_time: int  # ms: the source's stream time before `collect_start`
    evidence: str  # what was compared, in words
    note: str  # the operator's words

    def begins(self, source: Source) -> bool:
        """Whether this source began with it."""
        return self.source == source and self.how is not Replacement.SAME_OFFSETS


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A late or invalid record with its original bytes; of a (source, offset) the highest epoch holds."""

    source: Source
    offset: int
    timestamp: int  # ms, the record's own Kafka timestamp (-1 if it has none)
    outcome: str  # 'late' or 'invalid'
    reason: str  # why, in words a producer understands
    key: bytes | None
    value: bytes | None  # None: a tombstone
    headers: tuple[tuple[str, bytes | None], ...]
    epoch: int = 0  # of the rules that said so; the topic of dead letters does not tell it


@dataclass(frozen=True, slots=True)
class SourceLedger:
    """All a sink knows of one source: start rows by epoch, the newest ledger row of each slice by start, and
    what was given up, by epoch and start. Of several servers that share the pins, what the one has that is furthest
    behind."""

    starts: tuple[StartRow, ...]
    rows: tuple[LedgerRow, ...]
    lost: tuple[LostRow, ...] = ()
    replaces: ReplacedRow | None = None  # whose place its topic took, where it began with that
    replaced: tuple[ReplacedRow, ...] = ()  # by whom it was replaced, the latest last
    disputed: int = NO_EPOCH  # highest epoch that is claimed for different rules: it is not used (C12)
    of_shards: tuple["SourceLedger", ...] = ()  # what each of them has, shard 0 first; none of one server


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest that a sink has of one source: what a flush reads back before it writes (C6)."""

    epoch: int | None  # highest of its start rows; None: it has none
    version: int | None  # highest of its ledger rows; None: it has none


@dataclass(frozen=True, slots=True)
class SliceSum:
    """The cells of one slice, added up."""

    sums: Mapping[str, int]  # by table, of those that have some
    version: int  # the highest
    position: int  # the highest that a version tells, of whatever epoch

    @property
    def events(self) -> int:
        """The counted events that its pin-minutes tell of."""
        return self.sums.get(PinMinuteRows.table, 0)

    def adds_up_to(self, row: LedgerRow, but: Collection[str] = ()) -> bool:
        """Whether the cells of each aggregate `but` those of some tables have the check sum of this ledger row."""
        return all(self.sums.get(table, 0) == check_sum for table, check_sum in _known_sums(row, but))

    def lacks_some_of(self, row: LedgerRow, but: Collection[str] = ()) -> bool:
        """Whether the cells of some aggregate, `but` those of some tables, have less than the check sum."""
        return any(self.sums.get(table, 0) < check_sum for table, check_sum in _known_sums(row, but))

    def with_table(self, table: str, check_sum: int, version: int, position: int) -> "SliceSum":
        """The same with the cells of one more table."""
        sums = {**self.sums, table: check_sum}
        return SliceSum(sums, max(self.version, version), max(self.position, position))


NO_CELLS = SliceSum({}, 0, 0)


def _known_sums(row: LedgerRow, but: Collection[str]) -> list[tuple[str, int]]:
    """The check sums of a ledger row, without those of aggregates that are not counted any more."""
    tables = [kind.table for kind in CELL_TABLES if kind.table not in but]
    return [(table, row.check_sums[table]) for table in tables if table in row.check_sums]
