"""The rows that go to ClickHouse: cells in columns, the ledger, start rows, dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.fates import Fates
from pintally.schemas.sources import Source

GENERATION_SHIFT: Final = 48
LAST_OFFSET: Final = (1 << GENERATION_SHIFT) - 1  # a version holds no higher one


def version_of(generation: int, position: int) -> int:
    """The version of a row: generation x 2^48 + position, so that whoever read further wins."""
    return (generation << GENERATION_SHIFT) + position


def position_of(version: int) -> int:
    """The position that a version was made of."""
    return version & LAST_OFFSET


@dataclass(frozen=True, slots=True)
class CellRows:
    """n cells with absolute counts, one array a column, all of length n."""

    source: NDArray[np.uint64]  # Source.id
    block: NDArray[np.uint32]  # offset // slice_records
    arrived: NDArray[np.uint32]  # seconds since 1970: the clock floored to ten minutes
    action: NDArray[np.uint8]  # Action
    minute: NDArray[np.uint32]  # seconds since 1970: start of the window [minute, minute + 60)
    pin_id: NDArray[np.uint64]
    count: NDArray[np.uint64]  # counted records of the slice below the version's position
    version: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.count)

    def select(self, at: "NDArray[Any] | slice") -> "CellRows":
        """The rows at some indexes, where a mask is true, or of a slice."""
        return CellRows(*(getattr(self, field.name)[at] for field in fields(self)))

    @classmethod
    def concat(cls, parts: Sequence["CellRows"]) -> "CellRows":
        """All rows of `parts`, in order; no rows for no parts."""

        def column(name: str, dtype: type[np.generic]) -> NDArray[Any]:
            return np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])

        return cls(
            source=column("source", np.uint64),
            block=column("block", np.uint32),
            arrived=column("arrived", np.uint32),
            action=column("action", np.uint8),
            minute=column("minute", np.uint32),
            pin_id=column("pin_id", np.uint64),
            count=column("count", np.uint64),
            version=column("version", np.uint64),
        )


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What is emitted of one slice (C8). The newest version of a (source, block, arrived) wins."""

    source: Source
    block: int
    arrived: int  # seconds since 1970
    start: int  # offset of the slice's first offset
    start_clock: int  # ms: the source's clock before that offset
    position: int  # next offset to fold; never beyond the slice's end
    clock: int  # ms: the source's clock at `position`
    fates: Fates  # of this slice alone: fates.total == position - start
    cells_sum: int  # sum over the slice's cells; equals fates.counted
    generation: int
    rules: str  # Rules.fingerprint

    @property
    def version(self) -> int:
        """Generation x 2^48 + position."""
        return version_of(self.generation, self.position)


@dataclass(frozen=True, slots=True)
class StartRow:
    """Where a generation of rules begins in a source. Written before the source's first cell; lowest start wins."""

    source: Source
    generation: int
    start: int  # first offset under these rules
    start_clock: int  # ms: the source's clock before `start` (0 where nothing was read before)
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
    """Offsets [start, end) that an operator gave up. It takes effect with the start row of its generation.

    After a trimmed range counting begins anew at `end`, with the clock carried over and without any earlier ids.
    """

    source: Source
    generation: int  # begins after the range; of a retired source its last one
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

    Of same offsets it takes effect at once; else with the start row of `source` and `generation`.
    """

    source: Source  # of the topic that takes the place, by the UUID that Kafka has for it
    old: Source  # of the other one, by the UUID that the ledger has for it
    how: Replacement
    generation: int
    old_end: int  # offset of the old log below which its counts stay
    start: int  # offset of the new log from which it is counted
    collect_start: int  # offset of the new log from which ids are collected; not above `start`
    collect_clock: int  # ms: the source's clock before `collect_start`
    evidence: str  # what was compared, in words
    note: str  # the operator's words

    def begins(self, source: Source) -> bool:
        """Whether this source began with it."""
        return self.source == source and self.how is not Replacement.SAME_OFFSETS


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A late or dead record with its original bytes; of a (source, offset) the highest generation holds."""

    source: Source
    offset: int
    timestamp: int  # ms, the record's own Kafka timestamp (-1 if it has none)
    fate: str  # 'late' or 'dead'
    reason: str  # why, in words a producer understands
    key: bytes | None
    value: bytes | None  # None: a tombstone
    headers: tuple[tuple[str, bytes | None], ...]
    generation: int = 0  # of the rules that said so; the topic of dead letters does not tell it


@dataclass(frozen=True, slots=True)
class SourceLedger:
    """All a sink knows of one source: start rows by generation, the newest ledger row of each slice by start, and
    what was given up, by generation and start."""

    starts: tuple[StartRow, ...]
    rows: tuple[LedgerRow, ...]
    lost: tuple[LostRow, ...] = ()
    replaces: ReplacedRow | None = None  # whose place its topic took, where it began with that
    replaced: tuple[ReplacedRow, ...] = ()  # by whom it was replaced, the latest last


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest that a sink has of one source: what a tick reads back before it writes (C6)."""

    generation: int | None  # highest of its start rows; None: it has none
    version: int | None  # highest of its ledger rows; None: it has none


@dataclass(frozen=True, slots=True)
class SliceSum:
    """The cells of one slice, added up."""

    events: int
    version: int  # the highest
    position: int  # the highest that a version tells, of whatever generation
