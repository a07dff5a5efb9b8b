"""Which dead letters may be replayed, and why others may not. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from pintally.schemas.actions import Action
from pintally.schemas.dead_letters import SENT_BEFORE
from pintally.schemas.events import Event, validate
from pintally.schemas.framing import without_prefix
from pintally.schemas.replays import Origin
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.outcomes import why_invalid
from pintally.streams.operations.replay.correct import changed
from pintally.streams.operations.replay.horizon import ReplayHorizon
from pintally.streams.operations.replay.origins import Replayed
from pintally.streams.operations.replay.send import Replay


class Verdict(StrEnum):
    """What a replay does with a dead letter."""

    READY = "ready"
    REPLAYED = "already replayed"
    INVALID = "still invalid"
    DUPLICATE = "counted already"
    TOO_OLD = "too old to tell whether it was replayed"


@dataclass(frozen=True, slots=True)
class Planned:
    """A dead letter, its new value, and the verdict."""

    letter: DeadLetterRow
    value: bytes | None
    verdict: Verdict
    why: str = ""
    event: Event | None = None  # if the value is a valid event

    @property
    def replay(self) -> Replay:
        """What would be sent."""
        return Replay(self.letter, self.value)

    @property
    def origin(self) -> Origin:
        """The address of the record."""
        return Origin(self.letter.source, self.letter.offset)

    @property
    def corrected(self) -> tuple[str, ...]:
        """Names of the fields that differ from the original value."""
        return changed(self.letter.value, self.value)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the verdict depends on."""

    rules: Mapping[Action, Rules]  # of replay topics
    now_ms: int  # the Kafka timestamp that a replay will get
    replayed: Replayed
    even_duplicates: bool = False  # replay even if the event was sent before
    horizon: ReplayHorizon = ReplayHorizon()  # noqa: RUF009 - frozen


def plan(letter: DeadLetterRow, value: bytes | None, action: Action, by: Conditions) -> Planned:
    """Returns the verdict on one dead letter with this value."""
    if (at := by.replayed.get(letter.source, {}).get(letter.offset)) is not None:
        return _replayed(letter, value, at)
    if by.horizon.is_before(action, letter.timestamp):
        until = datetime.fromtimestamp(by.horizon.until[action] / 1000, UTC)
        return Planned(letter, value, Verdict.TOO_OLD, f"replays until {until:%Y-%m-%d %H:%M} UTC are unknown")
    why = why_invalid(value, action, by.now_ms, by.rules[action])
    if why is not None:
        return Planned(letter, value, Verdict.INVALID, why)
    event = _event(value, action)
    sent_before = letter.outcome == "late" and letter.reason.endswith(SENT_BEFORE)
    if sent_before and not by.even_duplicates and _event(letter.value, action).event_id == event.event_id:
        return Planned(letter, value, Verdict.DUPLICATE, SENT_BEFORE.strip("; "), event)
    return Planned(letter, value, Verdict.READY, "", event)


def _event(value: bytes | None, action: Action) -> Event:
    """Returns the event of a value that is valid by the rules of its topic."""
    return validate(without_prefix(value), action)


def replayed_meanwhile(planned: Collection[Planned], replayed: Replayed) -> list[Planned]:
    """Returns the same dead letters, with new verdicts for those that were replayed meanwhile."""
    places = [(each, replayed.get(each.letter.source, {}).get(each.letter.offset)) for each in planned]
    return [each if at is None else _replayed(each.letter, each.value, at) for each, at in places]


def _replayed(letter: DeadLetterRow, value: bytes | None, at: int) -> Planned:
    return Planned(letter, value, Verdict.REPLAYED, f"at offset {at} of the replay topic")


def without_duplicates(planned: Collection[Planned], counted: Mapping[UUID, str]) -> list[Planned]:
    """Returns the same dead letters; of each event at most one is ready, and none if it is `counted` (id -> where)."""
    taken, checked = dict(counted), []
    for each in planned:
        event_id = each.event.event_id if each.event and each.verdict is Verdict.READY else None
        if event_id in taken:
            checked.append(replace(each, verdict=Verdict.DUPLICATE, why=f"its event is also {taken[event_id]}"))
            continue
        if event_id is not None:
            taken[event_id] = str(each.origin)
        checked.append(each)
    return checked
