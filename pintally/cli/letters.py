"""What the commands of `pintally dlq` share: options that choose dead letters, and how a dead letter is shown."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer
from rich.markup import escape

from pintally.cli.console import data, table
from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.errors import PintallyError
from pintally.schemas.framing import prefix_of
from pintally.schemas.replays import Origin
from pintally.schemas.rows import DeadLetterRow
from pintally.sinks.clickhouse.dead_letter_queries import Kind, Wanted
from pintally.streams.operations.replay.correct import fields_of
from pintally.streams.settings import TopicSettings, load_settings

ORIGIN = re.compile(r"(?P<topic>[^\[\]@]+)\[(?P<partition>\d{1,9})\]@(?P<offset>\d{1,18})")


class LetterOutcome(StrEnum):
    """The outcomes of records that become dead letters."""

    LATE = "late"
    INVALID = "invalid"


LABELS = " or ".join(f"`{action.label}`" for action in Action)
Topic = Annotated[str | None, typer.Option(help=f"Only this topic; {LABELS} is enough.")]


def wanted_of(
    asked: TopicSettings,
    topic: Topic = None,
    outcome: Annotated[LetterOutcome | None, typer.Option("--outcome", help="Only late, or only invalid ones.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only those whose reason matches this regular expression (RE2).")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only Kafka timestamps from this time on, UTC: 2026-11-21T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only Kafka timestamps before this time.")] = None,
    pin: Annotated[str | None, typer.Option(help="Only this pin; finds only values that are JSON.")] = None,
    event_id: Annotated[str | None, typer.Option(help="Only this event; finds only values that are JSON.")] = None,
    origins: Annotated[
        list[str] | None, typer.Option("--origin", help="Only this record, `topic[partition]@offset`; may be repeated.")
    ] = None,
) -> Wanted:
    """Returns the options as a condition. Raises PintallyError for a value that makes no sense."""
    if reason is not None:
        _check_regex(reason)
    return Wanted(
        topics=topics_of(asked, topic),
        outcome=outcome.value if outcome else None,
        reason=reason,
        since_ms=_moment("--since", since),
        until_ms=_moment("--until", until),
        pin=pin,
        event_id=event_id,
        origins=tuple(read_origin(text) for text in origins) if origins else None,
    )


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `wanted_of` to a command; it is called with `settings` and `wanted`."""
    options, own = ([*signature(function).parameters.values()] for function in (wanted_of, command))
    options, own = options[1:], [each for each in own if each.name not in ("settings", "wanted")]

    @wraps(command)
    def run(**given: Any) -> None:
        settings = load_settings(over_shards=True)
        wanted = wanted_of(settings.topics, **{each.name: given.pop(each.name) for each in options})
        command(settings=settings, wanted=wanted, **given)

    parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*options, *own)]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # typer reads both
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def read_origin(text: str) -> tuple[str, int, int]:
    """Returns topic, partition and offset of `topic[partition]@offset`. Raises PintallyError for other text."""
    found = ORIGIN.fullmatch(text)
    if found is None:
        raise PintallyError(f"{text!r} is not the address of a record", "Write it as engagement.save.v1[0]@1234.")
    return found["topic"], int(found["partition"]), int(found["offset"])


def _check_regex(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise PintallyError(
            f"--reason {pattern!r} is not a regular expression: {error}", "Correct the expression."
        ) from error


def topics_of(topics: TopicSettings, name: str | None) -> tuple[str, ...]:
    """Returns the topics that --topic means; all if it is not given."""
    if name is None:
        return tuple(topics.actions)
    by_action = {action.label: topic for action, topic in topics.names.items()}
    if name in by_action:
        return by_action[name], replay_topic(by_action[name])
    if name not in topics.actions:
        known = ", ".join([*by_action, *topics.actions])
        raise PintallyError(f"--topic {name!r}: no such topic", f"Choose one of {known}.")
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
    """Returns a dead letter as JSON, which can be edited: its value as fields, else as text, else as base64."""
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
        return {"value": fields, **({"prefix": prefix.hex()} if (prefix := prefix_of(value)) else {})}
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def readable(content: bytes | None) -> str | None:
    """Returns untrusted bytes as text, escaped for a terminal."""
    return None if content is None else printable(content.decode(errors="replace"))


def printable(text: str) -> str:
    """Returns the text with invisible characters as escapes: \\x1b, \\u202e. Spaces stay."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def utc(timestamp: int) -> str:
    """Returns a Kafka timestamp (Unix ms) as text."""
    if timestamp < 0:
        return "no timestamp"
    try:
        return f"{datetime.fromtimestamp(timestamp / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{timestamp} ms"


def print_kinds(kinds: Sequence[Kind], replayed: Sequence[int]) -> None:
    """Print one line for each kind."""
    if not kinds:
        data.print("No dead letters.")
        return
    shown = table("Dead letters", "topic", "outcome", "records", "replayed", "first (UTC)", "last (UTC)", left=2)
    shown.add_column("example of the reason")
    for kind, count in zip(kinds, replayed, strict=True):
        times = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (kind.first, kind.last))
        shown.add_row(
            kind.topic, kind.outcome, f"{kind.records:,}", f"{count:,}", *times, escape(printable(kind.reason))
        )
    data.print(shown)


def print_letter(letter: DeadLetterRow, replayed_at: int | None) -> None:
    """Print a dead letter: one line for each field."""
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
        data.print(f"replayed  at offset {replayed_at} of the replay topic")
    data.print()
