"""The counting rules said once more in the plainest Python: one record at a time, dicts and lists, nothing clever.

The oracle of the fold's tests. Comments name the rules of the protocol; speed is of no concern.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.events import ContractError, Event, validate
from pintally.schemas.rows import DeadLetterRow, LedgerRow
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.log import Headers
from tests.support.reference_beside import NAMED_ARMS, Arm, ArmMember, Beside, Member

Key = tuple[int, int, str, str]  # minute, pin, surface, platform
NAMED = 256  # C29: labels that count under their own name
Cell = tuple[int, int, int, int, str, str]  # slice_block, arrived_at seconds, minute in seconds, pin, surface, platform


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


class SliceCells:
    """The cells of one slice: C29 and C30 in their order."""

    def __init__(self, rules: Rules, named: int = NAMED) -> None:
        self._rules = rules
        self._named = named
        self._surfaces: list[str] = []  # those that count under their own name
        self._platforms: list[str] = []
        self._records: Counter[tuple[int, int]] = Counter()  # of each user and pin
        self.values: dict[Key, tuple[int, int]] = {}  # events, trusted

    def add(self, minute: int, pin: int, user: int, surface: str | None, platform: str | None) -> Key:
        """Count the next counted record; returns its cell."""
        return self.place(minute, pin, user, surface, platform)[0]

    def place(self, minute: int, pin: int, user: int, surface: str | None, platform: str | None) -> tuple[Key, bool]:
        """Count the next counted record; returns its cell, and whether it is trusted."""
        self._records[user, pin] += 1
        trusted = not self._rules.trusted_cap or self._records[user, pin] <= self._rules.trusted_cap
        key = minute, pin, self._label(surface, self._surfaces), self._label(platform, self._platforms)
        events, before = self.values.get(key, (0, 0))
        self.values[key] = events + 1, before + trusted
        return key, trusted

    def _label(self, label: str | None, named: list[str]) -> str:
        if not self._rules.breakdown or label is None:
            return "unknown"
        if label in ("other", "unknown") or label in named:
            return label
        if len(named) == self._named:
            return "other"
        named.append(label)
        return label


@dataclass
class Recount:
    """All that the rules make of a log."""

    slices: list[ReferenceSlice] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)  # offset -> outcome, absent offsets included
    counted: dict[Cell, list[int]] = field(default_factory=dict)  # the offsets that each cell counts
    trusted: set[int] = field(default_factory=set)  # the offsets of those that are trusted
    members: dict[tuple[int, int, Member], list[int]] = field(default_factory=dict)  # slice_block, arrived_at, member
    arms: dict[tuple[int, int, Arm], list[int]] = field(default_factory=dict)
    arm_members: dict[tuple[int, int, ArmMember], list[int]] = field(default_factory=dict)
    dead_letters: list[tuple[int, int, str, bytes | None, bytes | None, Headers]] = field(default_factory=list)

    def values(self, cell: Cell, position: int = 2**64) -> tuple[int, int]:
        """What a row of this cell must say at a version's position: events and trusted."""
        below = [offset for offset in self.counted.get(cell, []) if offset < position]
        return len(below), len(self.trusted.intersection(below))


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
    named: int = NAMED,
    keys: UserKeys = NO_KEYS,
) -> Recount:
    """Fold the offsets [start, end) one by one; `stream_time` is the one before `start`. Below `count_from` only
    ids. `named` is for logs that are too short to hold so many labels, or arms. `keys` has the one that the rules name.
    """
    records = {record.offset: record for record in log}
    result, cells = Recount(), SliceCells(rules, named)
    beside = Beside(rules, keys, min(named, NAMED_ARMS))
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
            cells, beside = SliceCells(rules, named), Beside(rules, keys, min(named, NAMED_ARMS))
        slices[-1].outcomes[outcome] += 1
        slices[-1].position, slices[-1].stream_time = offset + 1, stream_time
        result.outcomes[offset] = outcome
        if outcome == "counted":
            assert record is not None
            event = parse(record.value, action, rules.prefix_bytes)
            assert event is not None
            minute = event.occurred_at // 60_000 * 60
            key, trusted = cells.place(minute, event.pin_id, event.user_id, event.surface, event.platform)
            result.counted.setdefault((slice_block, arrived_at * 600, *key), []).append(offset)
            result.trusted |= {offset} if trusted else set()
            if member := beside.member(event, key[2]):
                result.members.setdefault((slice_block, arrived_at * 600, member), []).append(offset)
            arms = beside.arms(event)
            for arm in arms:
                result.arms.setdefault((slice_block, arrived_at * 600, arm), []).append(offset)
            for each in beside.arm_members(event, arms):
                result.arm_members.setdefault((slice_block, arrived_at * 600, each), []).append(offset)
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
        self.cells: dict[Cell, tuple[int, int, int]] = {}  # cell -> version, events, trusted
        self.ledger: dict[tuple[int, int], LedgerRow] = {}
        self.dead_letters: dict[int, DeadLetterRow] = {}

    def write_cells(self, rows: PinMinuteRows) -> None:
        names = ("slice_block", "arrived_at", "minute", "pin_id", "surface", "platform", "version", "events", "trusted")
        for *name, version, events, trusted in rows.tuples(names):
            cell: Cell = tuple(name)
            self.cells[cell] = max(self.cells.get(cell, (-1, 0, 0)), (version, events, trusted))

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        self.dead_letters.update({row.offset: row for row in rows})

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        for row in rows:
            known = self.ledger.get((row.slice_block, row.arrived_at))
            if known is None or row.version >= known.version:
                self.ledger[row.slice_block, row.arrived_at] = row
