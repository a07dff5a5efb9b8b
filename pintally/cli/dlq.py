"""`pintally dlq`: what became of the records that were not counted, and counting them after all."""

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pintally.cli import group, letters
from pintally.cli.console import print_json
from pintally.cli.letters import as_document, print_kinds, print_letter, wanted_of
from pintally.schemas.replays import Origin
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letter_queries import count_among, find_kinds, find_letters
from pintally.streams.operations.replay.origins import replayed_origins
from pintally.streams.settings import load_settings

QUERY_SECONDS = 60.0
HELP = """List, show and replay dead letters: what was late or broken.

A replay counts a letter after all, mended if need be, through a topic in which nothing is late. No letter can be
replayed twice. Hours that are sealed already are opened, sealed again, and marked as corrected.

Example:

    pintally dlq list
    pintally dlq show --reason pin_id --limit 3
    pintally dlq replay --outcome late
    pintally dlq replay --origin 'engagement.save.v1[0]@1234' --set pin_id=813744226420795884
"""

dlq = group(HELP)


@dlq.command(name="list")
def list_(
    topic: letters.Topic = None,
    outcome: letters.OfOutcome = None,
    reason: letters.Reason = None,
    since: letters.Since = None,
    until: letters.Until = None,
    pin: letters.Pin = None,
    event_id: letters.EventId = None,
    origin: letters.Origins = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many kinds.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List dead letters by kind of reason: how many, from when to when, and how many are replayed already.

    Reasons that differ only in numbers and times are one kind; one of them is shown. Times are Kafka timestamps. No
    key and no value is shown, so nothing of a person.

    Exit codes: 0 listed, 75 if Kafka or ClickHouse does not answer, 2 if it refuses.
    """
    settings = load_settings()
    wanted = wanted_of(settings, topic, outcome, reason, since, until, pin, event_id, origin)
    origins = [Origin(source, offset) for source, known in replayed_origins(settings).items() for offset in known]
    with Connection(settings.clickhouse, QUERY_SECONDS, only_reads=True) as connection:
        kinds, replayed = find_kinds(connection, wanted)[:limit], count_among(connection, wanted, origins)
    counts = [replayed.get((kind.topic, kind.outcome, kind.kind), 0) for kind in kinds]
    if as_json:
        print_json([asdict(kind) | {"replayed": count} for kind, count in zip(kinds, counts, strict=True)])
    else:
        print_kinds(kinds, counts)


@dlq.command()
def show(
    topic: letters.Topic = None,
    outcome: letters.OfOutcome = None,
    reason: letters.Reason = None,
    since: letters.Since = None,
    until: letters.Until = None,
    pin: letters.Pin = None,
    event_id: letters.EventId = None,
    origin: letters.Origins = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many letters.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, to be edited for `replay --from`.")
    ] = False,
) -> None:
    """Show single dead letters whole: key, value and headers as they came.

    They may hold personal data: user_id, and whatever a producer sent. What is no visible text is shown escaped, so
    that no letter can steer the terminal. With --json a line is a letter; edit its `value` (or `text`, or `base64`)
    and give the file to `pintally dlq replay --from`.

    Exit codes: 0 shown, 75 if Kafka or ClickHouse does not answer, 2 if it refuses.
    """
    settings = load_settings()
    wanted = wanted_of(settings, topic, outcome, reason, since, until, pin, event_id, origin)
    replayed = replayed_origins(settings)
    with Connection(settings.clickhouse, QUERY_SECONDS, only_reads=True) as connection:
        for letter in islice(find_letters(connection, wanted), limit):
            at = replayed.get(letter.source, {}).get(letter.offset)
            if as_json:
                print(json.dumps(as_document(letter, at)))
            else:
                print_letter(letter, at)


@dlq.command()
def replay(
    topic: letters.Topic = None,
    outcome: letters.OfOutcome = None,
    reason: letters.Reason = None,
    since: letters.Since = None,
    until: letters.Until = None,
    pin: letters.Pin = None,
    event_id: letters.EventId = None,
    origin: letters.Origins = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many letters at once.")] = 10_000,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Set a field of each value, `field=value`; may be repeated.")
    ] = None,
    edited: Annotated[
        Path | None, typer.Option("--from", help="The letters in this file of edited lines of `show --json`.")
    ] = None,
    even_duplicates: Annotated[
        bool, typer.Option("--even-duplicates", help="Do not ask whether an event is counted already.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count dead letters after all, mended if need be; each of them once, whoever replays when.

    A letter is sent if it would be counted now: late ones as they are, broken ones after mending. The value after `=`
    of --set is JSON, or text if it is none; null takes the field away. A letter that was replayed is not sent again.
    Nor is one whose event is counted already: its event_id is searched for in the log, as far as Kafka keeps it. What
    --limit leaves out comes with the next run. Do not replay while `pintally rules apply` runs.

    Exit codes: 0 all letters that were meant are replayed; 1 some were left out, still invalid or counted already; 2
    it could not be done; 75 Kafka or ClickHouse does not answer.
    """
    from pintally.cli.replaying import Asked, replay_asked

    settings = load_settings()
    wanted = wanted_of(settings, topic, outcome, reason, since, until, pin, event_id, origin)
    asked = Asked(wanted, limit, tuple(changes or ()), edited, even_duplicates, dry_run, yes, as_json)
    raise typer.Exit(replay_asked(settings, asked))
