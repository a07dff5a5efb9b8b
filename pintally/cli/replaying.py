"""`pintally dlq replay`: plan, show the plan, ask, send, and report the result of each dead letter."""

import getpass
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from pintally.cli.confirm import agree
from pintally.cli.console import data, print_json
from pintally.cli.counted_events import counted_events
from pintally.cli.letters import printable, read_origin, readable
from pintally.schemas.errors import PintallyError
from pintally.schemas.replays import Origin
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.dead_letter_queries import Wanted, find_letters, have_letters
from pintally.sinks.clickhouse.server import clock_of
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.reads.shards import first_shard
from pintally.streams.operations.replay.correct import Correction, read_change
from pintally.streams.operations.replay.edited import Edited, read_edited
from pintally.streams.operations.replay.horizon import read_replay_horizon
from pintally.streams.operations.replay.origins import replayed_origins
from pintally.streams.operations.replay.plan import (
    Conditions,
    Planned,
    Verdict,
    plan,
    replayed_meanwhile,
    without_duplicates,
)
from pintally.streams.operations.replay.send import Sent, replay_letters
from pintally.streams.settings import Settings

MAX_BYTES = 512 << 20  # of dead letters in one run; the next run sends the rest
LEFT = (Verdict.INVALID, Verdict.DUPLICATE, Verdict.TOO_OLD)
Lines = dict[tuple[str, UUID], Edited]  # by origin and UUID of the topic


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command."""

    wanted: Wanted
    limit: int  # of dead letters that are not replayed yet
    changes: tuple[str, ...]  # of --set
    reframe: bool
    edited: Path | None
    even_duplicates: bool
    dry_run: bool
    yes: bool
    as_json: bool


def replay_asked(settings: Settings, asked: Asked) -> int:
    """Replay; returns the exit code. Raises PintallyError if it cannot be done."""
    planned = _plan(settings, asked)
    ready = [each for each in planned if each.verdict is Verdict.READY]
    sent = Sent()
    if asked.dry_run:
        _print_plan(planned, asked.as_json)
    else:
        if ready:
            _ask(planned, asked)
            sent = _send(settings, ready)
        _print_sent(sent, planned, asked.as_json)
    return 1 if any(each.verdict in LEFT for each in planned) else 0


def _plan(settings: Settings, asked: Asked) -> list[Planned]:
    """Returns a verdict on each chosen dead letter, until `limit` of them are found that are not replayed yet."""
    lines, correction = _read_lines(asked.edited), Correction(dict(map(read_change, asked.changes)), asked.reframe)
    wanted = asked.wanted if lines is None else _narrowed(asked.wanted, lines)
    rules = {action: settings.rules.in_topic(topic) for action, topic in settings.topics.replay_names.items()}

    def prefix_of_topic(topic: str) -> int:
        return rules[settings.topics.actions[topic]].prefix_bytes

    by = Conditions(
        rules,
        clock_of(settings.clickhouse),
        replayed_origins(settings),
        asked.even_duplicates,
        read_replay_horizon(settings),
    )
    planned, fresh, size = [], 0, 0
    with first_shard(settings.clickhouse.shards) as connection:
        for letter, edited in _edited(find_letters(connection, wanted), lines, prefix_of_topic):
            topic = letter.source.topic
            value = correction.applied(edited, prefix_of_topic(topic))
            planned.append(plan(letter, value, settings.topics.actions[topic], by))
            fresh += planned[-1].verdict is not Verdict.REPLAYED
            size += len(value or b"") + len(letter.value or b"")
            if fresh == asked.limit or size > MAX_BYTES:
                break
    if asked.even_duplicates:
        return planned
    counted = counted_events(settings, planned, quiet=asked.as_json)
    checked = without_duplicates(planned, counted)
    # The record that was found may be a replay of the same dead letter, sent in the meantime.
    return replayed_meanwhile(checked, replayed_origins(settings)) if counted else checked


def _read_lines(edited: Path | None) -> Lines | None:
    if edited is None:
        return None
    try:
        text = edited.read_text()
    except (OSError, ValueError) as error:
        raise PintallyError(
            f"--from {edited}: {error}", "Name a file of lines of `pintally dlq show --json`."
        ) from error
    return {(line.origin, line.topic_id): line for line in read_edited(text.splitlines(), str(edited))}


def _narrowed(wanted: Wanted, lines: Lines) -> Wanted:
    """Returns the condition, narrowed to the dead letters of the file."""
    return replace(wanted, origins=tuple(read_origin(origin) for origin, _ in lines))


def _edited(
    found: Iterator[DeadLetterRow], lines: Lines | None, prefix_of_topic: Callable[[str], int]
) -> Iterator[tuple[DeadLetterRow, bytes | None]]:
    """Yields the dead letters of the file with their values there; without a file, all with their own values."""
    left = None if lines is None else dict(lines)
    for letter in found:
        value = letter.value
        if left is not None:
            line = left.pop((str(Origin(letter.source, letter.offset)), letter.source.topic_id), None)
            if line is None:
                continue
            value = line.value_for(letter.value, prefix_of_topic(letter.source.topic))
        yield letter, value
    if left:
        origin, topic_id = next(iter(left))
        raise PintallyError(
            f"none of the chosen dead letters is {origin} of the topic with UUID {topic_id}",
            "Remove its line from the file, or remove filters.",
        )


def _send(settings: Settings, ready: Sequence[Planned]) -> Sent:
    def existing(origins: Sequence[Origin]) -> set[Origin]:
        places = {(at.source.topic, at.source.topic_id, at.source.partition, at.offset): at for at in origins}
        with first_shard(settings.clickhouse.shards) as connection:
            return {places[place] for place in have_letters(connection, places)}

    return replay_letters(
        settings,
        ClickHouseSink(settings.clickhouse, only_reads=True, place=Place(0, len(settings.clickhouse.shards))),
        [each.replay for each in ready],
        _who(),
        existing,
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        return "unknown"


def _ask(planned: Sequence[Planned], asked: Asked) -> None:
    ready = [each for each in planned if each.verdict is Verdict.READY]
    if not asked.as_json:
        for verdict, records in Counter(each.verdict for each in planned).most_common():
            data.print(f"{records:>10,} {verdict}")
        data.print(f"{sum(bool(each.corrected) for each in ready):>10,} of the ready ones are corrected")
    agree(asked.yes, f"Replay {len(ready):,} dead letters?")


def _print_plan(planned: Sequence[Planned], as_json: bool) -> None:
    if as_json:
        print_json([_document(each) for each in planned])
        return
    for each in planned:
        corrected = f", corrected: {', '.join(each.corrected)}" if each.corrected else ""
        why = readable(each.value) if each.verdict is Verdict.READY else each.why
        data.print(f"{each.origin}: {each.verdict}{printable(corrected)}: {why}", markup=False, soft_wrap=True)
    data.print(f"{sum(each.verdict is Verdict.READY for each in planned):,} would be sent; nothing was sent.")


def _document(planned: Planned) -> dict[str, Any]:
    return {
        "origin": str(planned.origin),
        "verdict": planned.verdict.value,
        "why": planned.why,
        "corrected": list(planned.corrected),
        "value": readable(planned.value),
    }


def _print_sent(sent: Sent, planned: Sequence[Planned], as_json: bool) -> None:
    counts = Counter(each.verdict for each in planned)
    totals = {
        "sent": sent.sent,
        "already_replayed": sent.replayed + counts[Verdict.REPLAYED],
        "still_invalid": counts[Verdict.INVALID],
        "counted_already": counts[Verdict.DUPLICATE],
        "too_old_to_tell": counts[Verdict.TOO_OLD],
        "gone": sent.gone,
    }
    if as_json:
        print_json(totals | {"left": [_document(each) for each in planned if each.verdict in LEFT]})
        return
    data.print(
        ", ".join(
            f"{records:,} {name.replace('_', ' ')}" for name, records in totals.items() if records or name == "sent"
        )
    )
    for each in [each for each in planned if each.verdict in LEFT][:10]:
        data.print(f"left out: {each.origin} is {each.verdict}: {each.why}", markup=False)
