"""What the three commands of `pintally dlq` share: which letters are meant, and how one is shown."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from pintally.cli.console import data, table
from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.errors import PintallyError
from pintally.schemas.replays import Origin
from pintally.schemas.rows import DeadLetterRow
from pintally.sinks.clickhouse.dead_letter_queries import Kind, Wanted
from pintally.streams.operations.replay.mend import fields_of
from pintally.streams.settings import Settings

ORIGIN = re.compile(r"(?P<topic>[^\[\]@]+)\[(?P<partition>\d{1,9})\]@(?P<offset>\d{1,18})")


class LetterOutcome(StrEnum):
    """The outcomes that end as a dead letter."""

    LATE = "late"
    INVALID = "invalid"


LABELS = " or ".join(f"`{action.label}`" for action in Action)
Topic = Annotated[str | None, typer.Option(help=f"Only of this topic; {LABELS} will do.")]
OfOutcome = Annotated[LetterOutcome | None, typer.Option("--outcome", help="Only late, or only invalid ones.")]
Reason = Annotated[str | None, typer.Option(help="Only where this regular expression (RE2) matches in the reason.")]
Since = Annotated[str | None, typer.Option(help="Only with a Kafka timestamp from then on, UTC: 2026-11-21T14:00.")]
Until = Annotated[str | None, typer.Option(help="Only with a Kafka timestamp before then.")]
Pin = Annotated[str | None, typer.Option(help="Only of this pin, where the value is JSON.")]
EventId = Annotated[str | None, typer.Option(help="Only of this event, where the value is JSON.")]
Origins = Annotated[
    list[str] | None, typer.Option("--origin", help="Only this record, `topic[partition]@offset`; may be repeated.")
]


def wanted_of(
    settings: Settings,
    topic: str | None,
    outcome: LetterOutcome | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    pin: str | None,
    event_id: str | None,
    origins: list[str] | None,
) -> Wanted:
    """The options as a condition. Raises PintallyError naming the option that makes no sense."""
    if reason is not None:
        _check_regex(reason)
    return Wanted(
        topics=topics_of(settings, topic),
        outcome=outcome.value if outcome else None,
        reason=reason,
        since_ms=_moment("--since", since),
        until_ms=_moment("--until", until),
        pin=pin,
        event_id=event_id,
        origins=tuple(read_origin(text) for text in origins) if origins else None,
    )


def read_origin(text: str) -> tuple[str, int, int]:
    """`topic[partition]@offset` as topic, partition and offset."""
    found = ORIGIN.fullmatch(text)
    if found is None:
        raise PintallyError(f"{text!r} names no record", "Write it as engagement.save.v1[0]@1234.")
    return found["topic"], int(found["partition"]), int(found["offset"])


def _check_regex(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise PintallyError(f"--reason {pattern!r}: {error}", "Write a regular expression.") from error


def topics_of(settings: Settings, name: str | None) -> tuple[str, ...]:
    """The topics that --topic means; all if it is not given."""
    if name is None:
        return tuple(settings.topics.actions)
    by_action = {action.label: topic for action, topic in settings.topics.names.items()}
    if name in by_action:
        return by_action[name], replay_topic(by_action[name])
    if name not in settings.topics.actions:
        known = ", ".join([*by_action, *settings.topics.actions])
        raise PintallyError(f"--topic {name!r} is none of ours", f"It may be {known}.")
    return (name,)


def _moment(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise PintallyError(f"{option} {text!r} is not a time", "Write it as 2026-11-21T14:00.") from error
    return round((moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp() * 1000)


def as_document(letter: DeadLetterRow, replayed_at: int | None) -> dict[str, Any]:
    """A letter for scripts, and for editing: its value as fields, else as text, else as base64."""
    return {
        "origin": str(Origin(letter.source, letter.offset)),
        "topic_id": str(letter.source.topic_id),
        "outcome": letter.outcome,
        "reason": letter.reason,
        "timestamp": letter.timestamp,
        "replayed_at": replayed_at,
        "key": readable(letter.key),
        "headers": [[readable(_bytes(name)), readable(content)] for name, content in letter.headers],
        **_value(letter.value),
    }


def _value(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    fields = fields_of(value)
    if fields is not None and json.loads(json.dumps(fields)) == fields:
        return {"value": fields}
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def readable(content: bytes | None) -> str | None:
    """Bytes of a stranger as text that a terminal shows and never obeys."""
    return None if content is None else printable(content.decode(errors="replace"))


def printable(text: str) -> str:
    """The text with all that is no visible character, but the space, as an escape: \\x1b, \\u202e."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def utc(timestamp: int) -> str:
    """A Kafka timestamp for people."""
    if timestamp < 0:
        return "no timestamp"
    try:
        return f"{datetime.fromtimestamp(timestamp / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{timestamp} ms"


def print_kinds(kinds: Sequence[Kind], replayed: Sequence[int]) -> None:
    """One line a kind."""
    if not kinds:
        data.print("No dead letters.")
        return
    shown = table("Dead letters", "topic", "outcome", "records", "replayed", "first (UTC)", "last (UTC)", left=2)
    shown.add_column("reason, of one of them")
    for kind, count in zip(kinds, replayed, strict=True):
        times = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (kind.first, kind.last))
        shown.add_row(
            kind.topic, kind.outcome, f"{kind.records:,}", f"{count:,}", *times, escape(printable(kind.reason))
        )
    data.print(shown)


def print_letter(letter: DeadLetterRow, replayed_at: int | None) -> None:
    """A letter, a line for each thing that is known of it."""
    lines = {
        "letter": f"{Origin(letter.source, letter.offset)}, {letter.outcome}, {utc(letter.timestamp)}",
        "reason": printable(letter.reason),
        "key": readable(letter.key),
        "value": readable(letter.value) or ("none (a tombstone)" if letter.value is None else "empty"),
    }
    for name, line in lines.items():
        data.print(f"{name:<9} {line}", markup=False, soft_wrap=True)
    for name, content in letter.headers:
        data.print(f"header    {readable(_bytes(name))}: {readable(content)}", markup=False, soft_wrap=True)
    if replayed_at is not None:
        data.print(f"replayed  it is at offset {replayed_at} of the replay topic")
    data.print()
