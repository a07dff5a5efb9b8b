"""What conditions are made of, and the words that they share. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pintally.serve.findings import Look, Tables
from pintally.serve.rates import Rates
from pintally.serve.state import Condition, Level, Sealing, SourceState, Verified, Workers, WorkerState
from pintally.streams.worker.ended import Ended

NAMES = {"kafka": "Kafka", "clickhouse": "ClickHouse"}
STATUS = "pintally status"
LONGEST = 160  # characters of what somebody else said, in a sentence of ours
CHECKS = (
    STATUS,
    "pintally dlq list",
    "pintally rules show",
    "pintally verify",
    "kafka-topics.sh",
)  # they change nothing


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known."""

    look: Look
    sources: Sequence[SourceState]
    sealing: Sealing
    workers: Workers
    rates: Rates = field(default_factory=Rates)
    tables: Tables = field(default_factory=Tables)
    verified: Sequence[Verified] = ()
    ended: Sequence[Ended] = ()  # workers that refused to go on, the last one first
    other_rules: bool = False  # the settings of this process have other rules than the ledger
    unknown_rules: Sequence[str] = ()  # rules in the ledger that a newer version wrote, with the topics and the remedy
    version: str = ""  # of this process
    lateness: int = 3600  # allowed, in seconds
    kafka: str = "BROKER"  # bootstrap servers

    @property
    def now(self) -> float:
        """When this is so, as Unix time."""
        return self.look.at

    @property
    def members(self) -> set[str]:
        """The workers that are in the group."""
        return {member.name for member in self.look.kafka.group.members} if self.look.kafka else set()

    @property
    def nobody(self) -> bool:
        """Whether Kafka says that no worker is in the group."""
        return self.look.kafka is not None and not self.members

    def of(self, state: str) -> list[SourceState]:
        """The sources in a state."""
        return [source for source in self.sources if source.state == state]


Rule = Callable[[Facts], Iterator[Condition]]


def said(
    kind: str, level: Level, sentence: str, command: str | Sequence[str], anchor: str, **more: str | float | None
) -> Condition:
    """A condition; `more` are its detail, in which a command needs no backquotes, and since when it is there.

    Where since when is given, or is when it was first seen, the sentence does not say how long: the page does, once.
    """
    first, *then = [command] if isinstance(command, str) else command
    known = {name: each.replace("`", "") if isinstance(each, str) else each for name, each in more.items()}
    return Condition.model_validate(
        {"kind": kind, "level": level, "sentence": sentence, "command": first, "then": then,
         "checks": first.startswith(CHECKS), "runbook": anchor, **known}
    )  # fmt: skip


def who(worker: WorkerState) -> str:
    """The worker by its name in the group; by its address if it has none."""
    return f'worker "{worker.member}"' if worker.member else f"the worker at {worker.address}"


def at_start(words: str) -> str:
    """The same words at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def named(sources: Sequence[SourceState]) -> str:
    """The first, and how many more there are."""
    names = [f"{each.topic}[{each.partition}]" for each in sources]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def waiting(sources: Sequence[SourceState]) -> str:
    """`600 records wait`."""
    lag = sum(each.lag for each in sources)
    return f"{records(lag)} {'waits' if lag == 1 else 'wait'}"


def records(number: int) -> str:
    """`1 record`, `600 records`."""
    return f"{number:,} {'record' if number == 1 else 'records'}"


def shortened(words: str) -> str:
    """What somebody else said, at the length of a sentence, without the point at its end."""
    words = " ".join(words.split()).rstrip(".")
    return words if len(words) <= LONGEST else words[:LONGEST].rsplit(" ", 1)[0] + " ..."


def ago(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.0f} d"


def utc(moment: float, now: float) -> str:
    """`11:00 UTC`, with the date if it is not today's."""
    time, today = datetime.fromtimestamp(moment, UTC), datetime.fromtimestamp(now, UTC)
    return f"{time:%H:%M} UTC" if time.date() == today.date() else f"{time:%Y-%m-%d %H:%M} UTC"


def command_in(remedy: str) -> str | None:
    """The command in a remedy, which stands between backquotes or after `Run `."""
    parts = remedy.split("`")
    if len(parts) > 2 and parts[1].startswith("pintally "):
        return parts[1]
    after = remedy.partition("un pintally ")[2]
    return f"pintally {after.split(',')[0].split('.')[0]}" if after else None
