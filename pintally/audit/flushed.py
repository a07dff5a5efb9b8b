"""The rows of a source in ClickHouse: start rows, ledger rows, cells, dead letters. Own types of the audit."""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

EPOCH_SHIFT = 48
SAME_OFFSETS = "same_offsets"
POSITION_MASK = (1 << EPOCH_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class StartRow:
    """The start of an epoch of rules in a source."""

    epoch: int
    start: int
    start_stream_time: int
    rules: str  # JSON


@dataclass(frozen=True, slots=True)
class LostRow:
    """Offsets [start, end) whose loss an operator accepted. After a trimmed range, `epoch` begins at its end."""

    epoch: int
    kind: str  # 'trimmed', 'truncated', 'retired', 'recounted' or 'damaged'
    start: int
    end: int
    note: str


@dataclass(frozen=True, slots=True)
class ReplacedRow:
    """One partition of a topic that replaced another. The fields are the columns of the table."""

    source: int
    topic: str
    topic_id: UUID  # in Kafka
    partition: int
    old_source: int
    old_topic: str
    old_topic_id: UUID  # as start rows have it
    how: str  # 'same_offsets', 'copied' or 'new_records'
    epoch: int
    old_end: int
    start: int
    collect_start: int
    collect_stream_time: int
    evidence: str
    note: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The ledger row of one slice. The fields are the columns of the table."""

    slice_block: int
    arrived_at: int  # seconds since 1970
    start: int
    start_stream_time: int
    position: int
    stream_time: int
    counted: int
    duplicate: int
    late: int
    invalid: int
    gaps: int
    cells_sum: int
    epoch: int
    rules: str  # fingerprint
    version: int
    sums: dict[str, int] = field(default_factory=dict)  # check sums of the aggregates beside pin_minutes, by table

    @property
    def key(self) -> tuple[int, int]:
        """The name of the slice; ascending in the order of the log."""
        return self.slice_block, self.arrived_at

    @property
    def check_sums(self) -> dict[str, int]:
        """The check sum of every aggregate that is counted in the slice, by table."""
        return {"pin_minutes": self.cells_sum, **self.sums}


class DeadLetter(NamedTuple):
    """A row of `dead_letters`. `digest` is MD5 of the value, None for a tombstone."""

    offset: int
    timestamp: int
    outcome: str
    digest: bytes | None
    epoch: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """All of one source but its cells: start rows by epoch, ledger rows by slice (newest version of each)."""

    id: int
    topic: str
    topic_id: UUID
    partition: int
    starts: tuple[StartRow, ...]
    ledger: tuple[LedgerRow, ...]
    lost: tuple[LostRow, ...] = ()
    replaces: ReplacedRow | None = None  # the topic that it replaced, if it began with that
    replaced: tuple[ReplacedRow, ...] = ()  # the topics that replaced it, the latest last

    @property
    def is_over(self) -> bool:
        """Whether counting of it has ended, because it was retired or replaced by another log."""
        given_up = any(row.kind == "retired" for row in self.lost)
        return given_up or any(row.how != SAME_OFFSETS for row in self.replaced)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"
