"""What was found of each engine, as it was found: the material of the document and of the metrics. Times: Unix s."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pintally.schemas.errors import PintallyError, Unavailable
from pintally.schemas.rows import SourceLedger
from pintally.schemas.sources import Source
from pintally.serve.seen import Seen
from pintally.sinks.reads.operating import LetterKind, Sealed, TableSize
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.operations.progress import Progress

Engine = Literal["kafka", "clickhouse"]
ENGINES: tuple[Engine, ...] = ("kafka", "clickhouse")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the consumer group, and the partitions that it has."""

    name: str
    partitions: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Group:
    """The consumer group. It may have no member."""

    members: tuple[Member, ...] = ()

    def owner(self, source: Source) -> str | None:
        """The member that has a source."""
        place = source.topic, source.partition
        return next((member.name for member in self.members if place in member.partitions), None)


@dataclass(frozen=True, slots=True)
class InKafka:
    """What Kafka said."""

    topics: Mapping[str, TopicInfo]  # by the UUIDs that the ledger knows
    offsets: Mapping[Source, Offsets]
    group: Group
    oldest: Mapping[Source, int] = field(default_factory=dict)  # Kafka timestamp, ms, where nothing was ever counted


@dataclass(frozen=True, slots=True)
class InClickHouse:
    """What ClickHouse said of the ledger."""

    ledgers: Mapping[Source, SourceLedger]
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Pin:
    """One of the top pins, and its events a minute of the last hour, oldest first."""

    pin_id: int
    events: int
    by_minute: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """What is asked of ClickHouse less often, because it is dearer."""

    looked_at: float = 0.0
    seconds: float = 0.0
    letters: tuple[LetterKind, ...] = ()
    sizes: tuple[TableSize, ...] = ()
    superseded: Mapping[str, int] = field(default_factory=dict)
    top: tuple[Pin, ...] = ()
    grown: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # dead letters, since the look before

    def after(self, before: "Tables") -> "Tables":
        """These tables, with what has grown since that look."""
        known = {(each.topic, each.outcome, each.field): each.records for each in before.letters}
        if not before.looked_at:
            return self
        grown = {
            (each.topic, each.outcome, each.field): each.records - known.get((each.topic, each.outcome, each.field), 0)
            for each in self.letters
        }
        return replace(self, grown=grown)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an engine did not say what it was asked."""

    since: float  # when it last did
    what: str
    remedy: str
    refuses: bool  # it answers, and says no: a person must act

    @classmethod
    def of(cls, error: PintallyError, since: float) -> "Trouble":
        """What an error says."""
        return cls(since, error.what, error.remedy, not isinstance(error, Unavailable))


@dataclass(frozen=True, slots=True)
class Look:
    """All that is known after a look. What an engine could not be asked is of an older look; see `trouble`."""

    number: int
    at: float
    kafka: InKafka | None
    clickhouse: InClickHouse | None
    sources: tuple[Progress, ...]
    seen: Mapping[Source, Seen]
    clocks: Mapping[Source, int | None]  # what each source has reached for sealing, in ms
    trouble: Mapping[Engine, Trouble]
    seconds: float = 0.0
    answered: float = 0.0  # when both engines last answered; 0: not yet
