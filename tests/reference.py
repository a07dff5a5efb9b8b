"""The counting rules said once more in the plainest Python: one record at a time, dicts and lists, nothing clever.

The oracle of the fold's tests. Comments name the rules of the protocol; speed is of no concern.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pintally.schemas.actions import Action
from pintally.schemas.events import ContractError, Event, validate
from pintally.schemas.rows import CellRows, DeadLetterRow, LedgerRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.chunk import Headers

Cell = tuple[int, int, int, int]  # block, arrived seconds, minute in seconds, pin


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

    block: int
    arrived: int  # seconds
    start: int
    start_clock: int  # ms
    position: int
    clock: int  # ms
    fates: dict[str, int] = field(
        default_factory=lambda: {"counted": 0, "duplicate": 0, "late": 0, "dead": 0, "absent": 0}
    )


@dataclass
class Recount:
    """All that the rules make of a log."""

    slices: list[ReferenceSlice] = field(default_factory=list)
    fates: dict[int, str] = field(default_factory=dict)  # offset -> fate, absent offsets included
    counted: dict[Cell, list[int]] = field(default_factory=dict)  # the offsets that each cell counts
    dead_letters: list[tuple[int, int, str, bytes | None, bytes | None, Headers]] = field(default_factory=list)

    def count_below(self, cell: Cell, position: int) -> int:
        """What a row of this cell must say at a version's position."""
        return sum(offset < position for offset in self.counted.get(cell, []))


@lru_cache(maxsize=100_000)
def parse(value: bytes | None, action: Action) -> Event | None:
    """The event, or None if the contract refuses it."""
    try:
        return validate(value, action)
    except ContractError:
        return None


def recount(
    log: Iterable[LogRecord], start: int, end: int, rules: Rules, action: Action, clock: int = 0, count_from: int = 0
) -> Recount:
    """Fold the offsets [start, end) one by one; `clock` is the one before `start`. Below `count_from` only ids."""
    records = {record.offset: record for record in log}
    result = Recount()
    ids: dict[object, list[tuple[int, int]]] = {}  # event id -> (block, arrived number) of all that registered it
    for offset in range(start, end):
        record = records.get(offset)
        clock_before = clock
        if record is not None:
            timestamp = clock if record.timestamp == -1 else record.timestamp  # C1: -1 counts as the clock
            clock = max(clock, timestamp)  # C1: running maximum, this record's timestamp included
        block = offset // rules.slice_records  # C1, and C3 for an absent offset
        arrived = clock // 600_000
        fate = "absent" if record is None else _fate(record, timestamp, clock, block, arrived, ids, rules, action)
        if offset < count_from:
            continue
        slices = result.slices
        if not slices or (slices[-1].block, slices[-1].arrived) != (block, arrived * 600):
            slices.append(ReferenceSlice(block, arrived * 600, offset, clock_before, offset, clock_before))
        slices[-1].fates[fate] += 1
        slices[-1].position, slices[-1].clock = offset + 1, clock
        result.fates[offset] = fate
        if fate == "counted":
            assert record is not None
            event = parse(record.value, action)
            assert event is not None
            cell = (block, arrived * 600, event.occurred_at // 60_000 * 60, event.pin_id)
            result.counted.setdefault(cell, []).append(offset)
        if fate in ("dead", "late"):
            assert record is not None
            letter = (offset, record.timestamp, fate, record.key, record.value, record.headers)
            result.dead_letters.append(letter)
    return result


def _fate(
    record: LogRecord,
    timestamp: int,
    clock: int,
    block: int,
    arrived: int,
    ids: dict[object, list[tuple[int, int]]],
    rules: Rules,
    action: Action,
) -> str:
    """C2, in its order."""
    event = parse(record.value, action)
    if event is None or record.timestamp == -1:  # nothing tells when it came
        return "dead"
    if event.occurred_at > timestamp + rules.max_clock_skew_ms:
        return "dead"
    if event.occurred_at < timestamp - rules.retention_ms:
        return "dead"
    earlier = ids.setdefault(event.event_id, [])
    seen = any(b in (block, block - 1) and a in (arrived, arrived - 1) for b, a in earlier)
    earlier.append((block, arrived))  # every record that is not dead registers its id
    minute_end = (event.occurred_at // 60_000 + 1) * 60_000
    if minute_end + rules.allowed_lateness_ms <= clock:
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

    def write_cells(self, rows: CellRows) -> None:
        columns = (rows.block, rows.arrived, rows.minute, rows.pin_id, rows.version, rows.count)
        for block, arrived, minute, pin, version, count in zip(*(c.tolist() for c in columns), strict=True):
            cell = (block, arrived, minute, pin)
            self.cells[cell] = max(self.cells.get(cell, (-1, 0)), (version, count))

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        self.dead_letters.update({row.offset: row for row in rows})

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        for row in rows:
            known = self.ledger.get((row.block, row.arrived))
            if known is None or row.version >= known.version:
                self.ledger[row.block, row.arrived] = row
