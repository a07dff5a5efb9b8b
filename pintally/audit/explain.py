"""Finds the records of an event, their outcomes with the reason, and what ClickHouse shows of it.

Like `verify` it shares no code with the counting path: it searches and recounts the log itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from pintally.audit.addresses import Addresses
from pintally.audit.arm_members_shown import ArmMember, arm_members_of
from pintally.audit.arms_shown import ArmCell, arm_cells
from pintally.audit.asked_shards import AskedShard, AskedShards, asked_shards
from pintally.audit.chain import epoch_at, epochs_of
from pintally.audit.contract import ACTIONS, Event, read_event
from pintally.audit.errors import CannotTell
from pintally.audit.flushed import Flushed
from pintally.audit.log import Log, Partition
from pintally.audit.members_shown import Member, member_of
from pintally.audit.occurrences import Ids, Occurrence, find
from pintally.audit.outcome import Judged, judge
from pintally.audit.rules import MINUTE_MS
from pintally.audit.shards import refuse_other_number
from pintally.audit.shown import (
    Letter,
    Stored,
    Window,
    compared_below,
    letters_of,
    read_breakdowns,
    read_cell,
    read_letter,
    read_windows,
)
from pintally.audit.slices import Outcome
from pintally.audit.tables import known_ids, read_replaced
from pintally.audit.waiting import Waiting
from pintally.audit.words import duration, moment

RecordAddress = tuple[str, UUID, int, int]  # topic, its UUID, partition, offset
Progress = Callable[[int, int], None]  # (offsets searched, offsets in all)


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell in which a valid event is counted, or would be."""

    action: str
    minute: int  # seconds since 1970
    pin: int
    surface: str | None = None  # the label under which it counts
    platform: str | None = None
    slice_: str | None = None  # slice_block/arrived_at
    is_trusted: bool | None = None  # of a counted event
    recounted: int | None = None  # number of counted records of the cell below `below`, by recount
    recounted_trusted: int | None = None  # those of them that are trusted
    below: int | None = None
    stored: Stored | None = None
    windows: tuple[Window, ...] = ()
    breakdowns: tuple[Window, ...] = ()
    arms: tuple[ArmCell, ...] = ()  # of a counted event
    member: Member | None = None  # of a counted event, where users are counted
    arm_members: tuple[ArmMember, ...] = ()  # the same, of its arms
    shard: int | None = None  # that has the counts of the pin, where several servers share the pins


@dataclass(frozen=True, slots=True)
class RecordReport:
    """One record of the event. `outcome` and `why` come from the recount; `unknown` says why they are missing."""

    place: str  # topic[partition]@offset
    timestamp: int  # Kafka timestamp, Unix ms; -1 if it has none
    key: str | None
    outcome: str | None = None
    why: str = ""
    unknown: str = ""
    flushed: bool | None = None  # whether the ledger covers it
    position: int | None = None  # position of its source
    cell: Cell | None = None
    letter: Letter | None = None
    replay: str | None = None  # the record that replays it
    replay_of: str | None = None  # the record that it replays


@dataclass(slots=True)
class Explanation:
    """The records of an event, and what was searched."""

    event_id: str
    searched: list[tuple[str, int, int]] = field(default_factory=list)  # source, offsets from and to
    forgotten: list[tuple[str, int]] = field(default_factory=list)  # source, first offset that Kafka still keeps
    records: list[RecordReport] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # open transactions in the searched logs
    behind: list[str] = field(default_factory=list)  # records of the event in or behind such a transaction
    letters: list[Letter] = field(default_factory=list)  # of records that are not in the log

    @property
    def exit_code(self) -> int:
        """0 found, 1 not found."""
        return 0 if self.records or self.letters or self.behind else 1


def explain(
    addresses: Addresses,
    event_id: str,
    since_ms: int | None,
    replays: Mapping[RecordAddress, int],
    progress: Progress = lambda _done, _of: None,
) -> Explanation:
    """Search the topics of `addresses`, from a Kafka timestamp (ms) on, and explain what is found.

    `replays` has the offsets of replayed records in their replay topics. Raises CannotTell if the log or the tables
    cannot be read.
    """
    with asked_shards(addresses) as shards, Log(addresses) as log:
        topics = [topic for topic, _ in addresses.topics]
        known = known_ids(read_replaced(shards.first.clickhouse))
        partitions = sorted(log.partitions(topics, known), key=lambda at: (topics.index(at.topic), at.partition))
        starts = log.starts(partitions, since_ms)
        found = _search(log, starts, event_id, progress)
        found += _replays_of(log, partitions, found, replays)
        explained = Explanation(event_id, [(_name(at), start, at.end) for at, start in starts.items()])
        held = log.waiting(partitions)
        explained.waiting = [each.in_words(addresses.kafka) for each in held]
        explained.behind = _behind(addresses, partitions, held, event_id) if held else []
        explained.forgotten = [(_name(at), at.start) for at in partitions if at.start > 0]
        explainer = _Explainer(shards, log, addresses, replays)
        found.sort(key=lambda each: (each.timestamp, *_address(each)))
        explained.records = [explainer.explain(each, found) for each in found]
        places = {_address(each) for each in found}
        explained.letters = [
            letter
            for letter in letters_of(shards.first.clickhouse, event_id)
            if letter.topic in topics and (letter.topic, letter.topic_id, letter.partition, letter.offset) not in places
        ]
    return explained


def _behind(addresses: Addresses, partitions: Sequence[Partition], held: Sequence[Waiting], event_id: str) -> list[str]:
    """Returns the records of the event that are in or behind an open transaction."""
    listed = {(at.topic, at.partition): at for at in partitions}
    starts = {replace(listed[each.topic, each.partition], end=each.end): each.offset for each in held}
    with Log(addresses, committed=False) as log:
        return [str(each) for each in find(log, starts, Ids([event_id]), lambda _offsets: None)]


def _search(log: Log, starts: Mapping[Partition, int], event_id: str, progress: Progress) -> list[Occurrence]:
    done, of = 0, sum(max(0, at.end - start) for at, start in starts.items())

    def add(offsets: int) -> None:
        nonlocal done
        done += offsets
        progress(done, of)

    return list(find(log, starts, Ids([event_id]), add))


def _replays_of(
    log: Log, partitions: Sequence[Partition], found: Sequence[Occurrence], replays: Mapping[RecordAddress, int]
) -> list[Occurrence]:
    """Returns replays of the found records that have another event_id, because it was corrected."""
    known = {(each.at.topic, each.offset) for each in found}
    by_topic = {at.topic: at for at in partitions if at.partition == 0}
    more = []
    for each in found:
        offset, at = replays.get(_address(each)), by_topic.get(_replay_topic(each.at.topic))
        if offset is None or at is None or (at.topic, offset) in known:
            continue
        for piece in log.read(at.topic, at.partition, offset):
            more += [
                Occurrence(at, offset, record.timestamp, record.key, record.value or b"", "")
                for record in piece.records
                if record.offset == offset
            ]
            break
    return more


class _Explainer:
    def __init__(
        self,
        shards: AskedShards,
        log: Log,
        addresses: Addresses,
        replays: Mapping[RecordAddress, int],
    ) -> None:
        self.shards = shards
        self.log = log
        self.addresses = addresses
        self.actions = dict(addresses.topics)
        self.replays = replays
        self.origins = {(_replay_topic(topic), at): f"{topic}[{p}]@{o}" for (topic, _, p, o), at in replays.items()}

    def explain(self, each: Occurrence, found: Sequence[Occurrence]) -> RecordReport:
        at = each.at
        key = None if each.key is None else each.key.decode(errors="replace")
        replayed = self.replays.get(_address(each))
        report = RecordReport(
            str(each),
            each.timestamp,
            key,
            letter=read_letter(self.shards.first.clickhouse, at.topic, at.topic_id, at.partition, each.offset),
            replay=None if replayed is None else f"{_replay_topic(at.topic)}[0]@{replayed}",
            replay_of=self.origins.get((at.topic, each.offset)),
        )
        started = self.shards.first.of(at)
        if started is None:
            return replace(report, unknown="no worker has begun to count this source", flushed=False)
        event, shard, flushed = None, self.shards.first, started
        try:
            refuse_other_number(started, epochs_of(started), self.addresses)
            event = self._event(each, started)
            shard = self.shards.of_pin(event.pin_id) if event else shard
            flushed = shard.of(at) or started
            judged = self._judge(flushed, at, each.offset)
        except CannotTell as reason:
            return replace(report, unknown=reason.what, cell=self._windows(shard, at.topic, event))
        return replace(
            report,
            outcome=judged.outcome.name.lower(),
            why=self._why(each, event, judged, report.letter, flushed, found),
            flushed=each.offset < judged.position,
            position=judged.position,
            cell=None if judged.outcome is Outcome.INVALID else self._cell(shard, flushed, event, judged, each.offset),
        )

    def _judge(self, flushed: Flushed, at: Partition, offset: int) -> Judged:
        return judge(self.log, flushed, self.actions[at.topic], at, offset, self.addresses.user_keys)

    def _event(self, each: Occurrence, flushed: Flushed) -> Event | None:
        """Returns the event of a record by the rules at its offset; before the first ones, by those."""
        epochs = epochs_of(flushed)
        rules = (epoch_at(epochs, each.offset) or epochs[0]).rules
        return read_event(each.value, ACTIONS[self.actions[each.at.topic]], rules.prefix_bytes)

    def _why(
        self,
        each: Occurrence,
        event: Event | None,
        judged: Judged,
        letter: Letter | None,
        flushed: Flushed,
        found: Sequence[Occurrence],
    ) -> str:
        rules = judged.epoch.rules
        if judged.outcome is Outcome.COUNTED:
            return "a valid event, on time, seen for the first time"
        if judged.outcome is Outcome.DUPLICATE:
            return f"duplicate of {self._earlier(each, flushed, found)}"
        if judged.outcome is Outcome.LATE and event is not None:
            end = (event.occurred_at // MINUTE_MS + 1) * MINUTE_MS
            return (
                f"its minute ended {moment(end)}, the lateness is {duration(rules.allowed_lateness_ms)}, "
                f"the stream time was {moment(judged.stream_time)}"
            )
        if letter is not None:
            return letter.reason
        if event is None:
            return "not a valid event"
        if each.timestamp < 0:
            return "it has no Kafka timestamp"
        return f"its event time {moment(event.occurred_at)} does not fit its Kafka timestamp {moment(each.timestamp)}"

    def _earlier(self, each: Occurrence, flushed: Flushed, found: Sequence[Occurrence]) -> str:
        """Returns the nearest earlier record of the event in the same source that is not invalid."""
        before = [
            other
            for other in found
            if other.at == each.at and other.offset < each.offset and other.event_id == each.event_id
        ]
        for other in sorted(before, key=lambda other: -other.offset):
            if self._judge(flushed, each.at, other.offset).outcome is not Outcome.INVALID:
                return str(other)
        return "an earlier record that was not searched"

    def _cell(
        self, shard: AskedShard, flushed: Flushed, event: Event | None, judged: Judged, offset: int
    ) -> Cell | None:
        cell = self._windows(shard, flushed.topic, event)
        if event is None or cell is None or judged.outcome is Outcome.LATE:
            return cell
        clickhouse, action, minute = shard.clickhouse, self.actions[flushed.topic], cell.minute
        labels = judged.labels_of(event)
        stored = read_cell(clickhouse, flushed.id, judged.slice_.key, action, minute, event.pin_id, labels)
        below = compared_below(judged.slice_.end, stored)
        counted, trusted = judged.events_in(action, minute, event, below)
        is_counted, first = judged.outcome is Outcome.COUNTED, self.shards.first.clickhouse
        return replace(
            cell,
            surface=labels[0],
            platform=labels[1],
            breakdowns=tuple(read_breakdowns(clickhouse, minute, event.pin_id, *labels)),
            slice_=f"{judged.slice_.slice_block}/{judged.slice_.arrived_at}",
            arms=tuple(arm_cells(first, flushed.id, judged.slice_, offset)) if is_counted else (),
            member=member_of(clickhouse, flushed.id, judged.slice_, offset) if is_counted else None,
            arm_members=tuple(arm_members_of(first, flushed.id, judged.slice_, offset)) if is_counted else (),
            is_trusted=judged.is_trusted(offset) if is_counted else None,
            recounted=counted,
            recounted_trusted=trusted,
            below=below,
            stored=stored,
        )

    def _windows(self, shard: AskedShard, topic: str, event: Event | None) -> Cell | None:
        if event is None:
            return None
        minute, pin = event.occurred_at // MINUTE_MS * 60, event.pin_id
        windows = tuple(read_windows(shard.clickhouse, minute, pin))
        return Cell(ACTIONS[self.actions[topic]], minute, pin, windows=windows, shard=self.shards.number_of(pin))


def _address(each: Occurrence) -> RecordAddress:
    return each.at.topic, each.at.topic_id, each.at.partition, each.offset


def _name(at: Partition) -> str:
    return f"{at.topic}[{at.partition}]"


def _replay_topic(topic: str) -> str:
    """Returns the replay topic of a topic, or of a replay topic."""
    return topic if topic.endswith(".replay") else f"{topic}.replay"
