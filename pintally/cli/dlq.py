"""`pintally dlq`: records that were not counted, and how to count them after all."""

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pintally.cli import group
from pintally.cli.console import print_json
from pintally.cli.letters import as_document, choosing, print_kinds, print_letter
from pintally.schemas.replays import Origin
from pintally.sinks.clickhouse.dead_letter_queries import Wanted, count_among, find_kinds, find_letters
from pintally.sinks.reads.shards import first_shard
from pintally.streams.operations.replay.origins import replayed_origins
from pintally.streams.settings import Settings

HELP = """List, show and replay dead letters: late and invalid records.

A replay sends a dead letter, corrected if necessary, to a topic in which no record is late, so that it is counted. No
dead letter can be replayed twice. Sealed hours that change are sealed again and marked as corrected.

Example:

    pintally dlq list
    pintally dlq show --reason pin_id --limit 3
    pintally dlq replay --outcome late
    pintally dlq replay --origin 'engagement.save.v1[0]@1234' --set pin_id=813744226420795884
"""

dlq = group(HELP)


@dlq.command(name="list")
@choosing
def list_(
    settings: Settings,
    wanted: Wanted,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many kinds to list.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List dead letters by kind of reason: their number, first and last time, and how many were replayed.

    Reasons that differ only in numbers and times are one kind; one of them is shown. Times are Kafka timestamps. Keys
    and values are not shown, so the list has no personal data.

    Exit codes: 0 listed, 75 if Kafka or ClickHouse does not answer, 2 if it refuses.
    """
    origins = [Origin(source, offset) for source, known in replayed_origins(settings).items() for offset in known]
    with first_shard(settings.clickhouse.shards) as connection:
        kinds, replayed = find_kinds(connection, wanted)[:limit], count_among(connection, wanted, origins)
    counts = [replayed.get((kind.topic, kind.outcome, kind.kind), 0) for kind in kinds]
    if as_json:
        print_json([asdict(kind) | {"replayed": count} for kind, count in zip(kinds, counts, strict=True)])
    else:
        print_kinds(kinds, counts)


@dlq.command()
@choosing
def show(
    settings: Settings,
    wanted: Wanted,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many dead letters to show.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, which can be edited for `replay --from`.")
    ] = False,
) -> None:
    """Show dead letters one by one, with their original key, value and headers.

    They may hold personal data: user_id, and anything else that a producer sent. Bytes that are not visible text are
    escaped, so that a dead letter cannot control the terminal. With --json, each line is one dead letter: edit its
    `value` (or `text`, or `base64`) and give the file to `pintally dlq replay --from`.

    Exit codes: 0 shown, 75 if Kafka or ClickHouse does not answer, 2 if it refuses.
    """
    replayed = replayed_origins(settings)
    with first_shard(settings.clickhouse.shards) as connection:
        for letter in islice(find_letters(connection, wanted), limit):
            at = replayed.get(letter.source, {}).get(letter.offset)
            if as_json:
                print(json.dumps(as_document(letter, at)))
            else:
                print_letter(letter, at)


@dlq.command()
@choosing
def replay(
    settings: Settings,
    wanted: Wanted,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many dead letters to replay at once.")
    ] = 10_000,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Set a field of each value, `field=value`; may be repeated.")
    ] = None,
    edited: Annotated[
        Path | None, typer.Option("--from", help="Replay the edited lines of `show --json` in this file.")
    ] = None,
    reframe: Annotated[
        bool,
        typer.Option(
            "--reframe",
            help="Put the prefix of a schema registry before each value, or take it away, as its topic asks.",
        ),
    ] = False,
    even_duplicates: Annotated[
        bool, typer.Option("--even-duplicates", help="Do not search for events that are already counted.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay dead letters so that they are counted, each of them at most once.

    A dead letter is sent if it would be counted now: a late one as it is, an invalid one after its value is corrected.
    The value after `=` of --set is JSON, else text; null removes the field. If a schema registry frames the topic
    (PINTALLY_FRAMED_TOPICS), a corrected value keeps its prefix, or gets one with schema id 0; if not, it loses it.
    --reframe corrects the prefix alone. Not sent are dead letters that were replayed before, and those whose event is
    already counted: the command searches the log for its event_id, as far back as Kafka keeps it. The next run sends
    what --limit left out. Do not replay while `pintally rules apply` runs.

    Exit codes: 0 all chosen dead letters are replayed; 1 some were left out, because they are still invalid or already
    counted; 2 it could not be done; 75 Kafka or ClickHouse does not answer.
    """
    from pintally.cli.replaying import Asked, replay_asked

    asked = Asked(wanted, limit, tuple(changes or ()), reframe, edited, even_duplicates, dry_run, yes, as_json)
    raise typer.Exit(replay_asked(settings, asked))
