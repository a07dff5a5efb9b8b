"""The counting rules said once more in the plainest Python: one record at a time, dicts and lists, nothing clever.

The oracle of the fold's tests. Comments name the rules of the protocol; speed is of no concern.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.events import ContractError, Event, validate
from pintally.schemas.rows import DeadLetterRow, LedgerRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.log import Headers

Cell = tuple[int, int, int, int]  # slice_block, arrived_at seconds, minute in seconds, pin


@dataclass(frozen=True)
class LogRecord:
    """What Kafka holds at one offset."""

    offset: int
    timestamp: int  # ms, -1 for none
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()


@dataclass
class ReferenceSlice:
    """One slice of the recount."""

    slice_block: int
    arrived_at: int  # seconds
    start: int
    start_stream_time: int  # ms
    position: int
    stream_time: int  # ms
    outcomes: dict[str, int] = field(
        default_factory=lambda: {"counted": 0, "duplicate": 0, "late": 0, "invalid": 0, "gaps": 0}
    )


@dataclass
class Recount:
    """All that the rules make of a log."""

    slices: list[ReferenceSlice] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)  # offset -> outcome, absent offsets included
    counted: dict[Cell, list[int]] = field(default_factory=dict)  # the offsets that each cell counts
    dead_letters: list[tuple[int, int, str, bytes | None, bytes | None, Headers]] = field(default_factory=list)

    def count_below(self, cell: Cell, position: int) -> int:
        """What a row of this cell must say at a version's position."""
        return sum(offset < position for offset in self.counted.get(cell, []))


@lru_cache(maxsize=100_000)
def parse(value: bytes | None, action: Action, prefix_bytes: int = 0) -> Event | None:
    """The event, or None if the contract refuses it, with this many bytes before its JSON (E12)."""
    if prefix_bytes and value is not None:
        if len(value) < prefix_bytes or not value.startswith(b"\0"):
            return None
        value = value[prefix_bytes:]
    try:
        return validate(value, action)
    except ContractError:
        return None


def recount(
    log: Iterable[LogRecord],
    start: int,
    end: int,
    rules: Rules,
    action: Action,
    stream_time: int = 0,
    count_from: int = 0,
) -> Recount:
    """Fold the offsets [start, end) one by one; `stream_time` is the one before `start`. Below `count_from` only
    ids.
    """
    records = {record.offset: record for record in log}
    result = Recount()
    ids: dict[
        object, list[tuple[int, int]]
    ] = {}  # event id -> (slice_block, arrived_at number) of all that registered it
    for offset in range(start, end):
        record = records.get(offset)
        stream_time_before = stream_time
        if record is not None:
            timestamp = stream_time if record.timestamp == -1 else record.timestamp  # C1: -1 counts as the stream time
            stream_time = max(stream_time, timestamp)  # C1: running maximum, this record's timestamp included
        slice_block = offset // rules.slice_records  # C1, and C3 for an absent offset
        arrived_at = stream_time // 600_000
        outcome = (
            "gaps"
            if record is None
            else _outcome(record, timestamp, stream_time, slice_block, arrived_at, ids, rules, action)
        )
        if offset < count_from:
            continue
        slices = result.slices
        if not slices or (slices[-1].slice_block, slices[-1].arrived_at) != (slice_block, arrived_at * 600):
            slices.append(
                ReferenceSlice(slice_block, arrived_at * 600, offset, stream_time_before, offset, stream_time_before)
            )
        slices[-1].outcomes[outcome] += 1
        slices[-1].position, slices[-1].stream_time = offset + 1, stream_time
        result.outcomes[offset] = outcome
        if outcome == "counted":
            assert record is not None
            event = parse(record.value, action, rules.prefix_bytes)
            assert event is not None
            cell = (slice_block, arrived_at * 600, event.occurred_at // 60_000 * 60, event.pin_id)
            result.counted.setdefault(cell, []).append(offset)
        if outcome in ("invalid", "late"):
            assert record is not None
            letter = (offset, record.timestamp, outcome, record.key, record.value, record.headers)
            result.dead_letters.append(letter)
    return result


def _outcome(
    record: LogRecord,
    timestamp: int,
    stream_time: int,
    slice_block: int,
    arrived_at: int,
    ids: dict[object, list[tuple[int, int]]],
    rules: Rules,
    action: Action,
) -> str:
    """C2, in its order."""
    event = parse(record.value, action, rules.prefix_bytes)
    if event is None or record.timestamp == -1:  # nothing tells when it came
        return "invalid"
    if event.occurred_at > timestamp + rules.max_clock_skew_ms:
        return "invalid"
    if event.occurred_at < timestamp - rules.retention_ms:
        return "invalid"
    earlier = ids.setdefault(event.event_id, [])
    seen = any(b in (slice_block, slice_block - 1) and a in (arrived_at, arrived_at - 1) for b, a in earlier)
    earlier.append((slice_block, arrived_at))  # every record that is not invalid registers its id
    minute_end = (event.occurred_at // 60_000 + 1) * 60_000
    if minute_end + rules.allowed_lateness_ms <= stream_time:
        return "late"
    if rules.dedup and seen:
        return "duplicate"
    return "counted"


class Store:
    """A sink in three dicts: highest version of each cell and of each ledger row, dead letters by offset."""

    def __init__(self) -> None:
        self.cells: dict[Cell, tuple[int, int]] = {}  # cell -> version, count
        self.ledger: dict[tuple[int, int], LedgerRow] = {}
        self.dead_letters: dict[int, DeadLetterRow] = {}

    def write_cells(self, rows: PinMinuteRows) -> None:
        columns = (rows.slice_block, rows.arrived_at, rows.minute, rows.pin_id, rows.version, rows.events)
        for slice_block, arrived_at, minute, pin, version, count in zip(*(c.tolist() for c in columns), strict=True):
            cell = (slice_block, arrived_at, minute, pin)
            self.cells[cell] = max(self.cells.get(cell, (-1, 0)), (version, count))

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        self.dead_letters.update({row.offset: row for row in rows})

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        for row in rows:
            known = self.ledger.get((row.slice_block, row.arrived_at))
            if known is None or row.version >= known.version:
                self.ledger[row.slice_block, row.arrived_at] = row
