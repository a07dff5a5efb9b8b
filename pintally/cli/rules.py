"""`pintally rules`: show the rules of each source, and change them."""

import json
from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from pintally.cli import group
from pintally.cli.confirm import agree
from pintally.cli.console import data, print_json, table
from pintally.cli.lost_ranges import as_documents, print_lost
from pintally.cli.replaced_topics import as_documents as replaced_documents
from pintally.cli.replaced_topics import print_replaced
from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import Rules, fingerprint_of
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import MAINTENANCE_SECONDS
from pintally.streams.counting.recovery import given_up, ruling
from pintally.streams.counting.refusals import refuse_topic
from pintally.streams.counting.rules_in_force import known_rules, rules_in_force, unknown_rules
from pintally.streams.operations.change.cluster_state import ClusterState, read_cluster_state, refuse_members
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.rules import plan_rules
from pintally.streams.operations.replay.horizon import read_replay_horizon, refuse_before_horizon
from pintally.streams.operations.replay.origins import refuse_replayed, replayed_origins
from pintally.streams.settings import RulesSettings, load_settings
from pintally.streams.worker.servers import maintained_sink_of, servers_of, sink_of

HELP = """Show or change the counting rules of each source.

The rules are lateness, clock skew, retention, slice size, whether duplicates are dropped, and whether a schema
registry frames the values. The ledger stores them with the counts. A worker whose settings have other rules refuses to
start.

Example:

    pintally rules show
    PINTALLY_ALLOWED_LATENESS_SECONDS=7200 pintally rules apply
"""

rules = group(HELP)


@rules.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show the rules of each source, where they begin, and whether the settings have other rules.

    An epoch is one set of rules of a source, from an offset on. Accepted losses and replaced topics are listed too.

    Exit codes: 0 shown, 75 if Kafka or ClickHouse does not answer, 2 if it refuses.
    """
    settings = load_settings(over_shards=True)
    asked = settings.rules
    sink = sink_of(servers_of(settings.clickhouse, only_reads=True), only_reads=True)
    with sink.session() as session:
        found = read_cluster_state(settings.kafka, settings.topics, sink, session)
    replaced = sink.replaced()
    if as_json:
        print_json({**_as_document(asked, found), "replaced": replaced_documents(replaced)})
        return
    shown = table("Rules", "source", "epoch", "from offset", "rules")
    for source, ledger in found.started.items():
        for start in ruling(ledger.starts):
            shown.add_row(_name(source, found), str(start.epoch), f"{start.start:,}", describe(start.rules))
    data.print(shown)
    for source in found.offsets:
        if not (ledger := found.ledgers[source]).starts:
            data.print(f"{source} is not counted yet")
        elif differs(asked, source, ledger):
            data.print(
                f"the settings have other rules for {source}: {describe(asked.in_topic(source.topic).to_json())}",
                markup=False,
            )
    for words in unknown_rules(rules_in_force(found.ledgers.values())):
        data.print(f"not known to this version: {words}", markup=False)
    print_lost(found.ledgers)
    print_replaced(replaced)
    if not any(differs(asked, source, found.ledgers[source]) for source in found.offsets):
        data.print("The settings have the same rules.")


@rules.command()
def apply(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Apply the rules of the settings, from the unfinished slice of each source on.

    Stop all workers first. Counts of earlier slices do not change. Cells, ledger rows and dead letters of the
    unfinished slice and of later ones are deleted; workers count these slices again when they start. Sealed hours
    that may change are opened. Slices can become smaller, never larger. If the command is interrupted, run it again.
    Where several servers share the pins, each step is done on all of them before the next one.

    Exit codes: 0 done, or nothing to do; 2 it could not be done.

    Example, with two hours of lateness:

        PINTALLY_ALLOWED_LATENESS_SECONDS=7200 pintally rules apply
    """
    settings = load_settings(over_shards=True)
    asked = settings.rules
    sink = maintained_sink_of(settings.clickhouse, MAINTENANCE_SECONDS)
    refuse_members(settings.kafka, settings.worker)
    with sink.session() as session:
        found = read_cluster_state(settings.kafka, settings.topics, sink, session)
        for topic in found.topics.values():
            refuse_topic(topic, asked.in_topic(topic.name))
        change = plan_rules(asked.in_topic, found.ledgers, found.offsets, found.committed, session.slice_sums)
        if change.starts:
            refuse_replayed(change.starts, replayed_origins(settings))
            refuse_before_horizon(settings.topics, change.starts, found.ledgers, read_replay_horizon(settings))
            _print_change(change, found)
            agree(yes, "Change the rules?")
            refuse_members(settings.kafka, settings.worker)
        apply_change(session, change)
    data.print(
        f"{len(change.starts)} sources have new rules" if change.starts else "all sources already have these rules"
    )


def differs(asked: RulesSettings, source: Source, ledger: SourceLedger) -> bool:
    """Whether the settings have other rules than the source."""
    return bool(ledger.starts) and known_rules(ruling(ledger.starts)[-1].rules) != asked.in_topic(source.topic)


def describe(text: str) -> str:
    """Returns rules as a line of text; `text` is their JSON."""
    parsed = known_rules(text)
    if parsed is None:
        return f"not known to this version: {text}"
    framed = ", framed by a schema registry" if parsed.prefix_bytes else ""
    lateness = "never" if parsed == parsed.never_late else f"after {parsed.allowed_lateness_ms // 1000} s"
    return (
        f"late {lateness}, skew {parsed.max_clock_skew_ms // 1000} s, {parsed.retention_ms // 86_400_000} days, "
        f"slices of {parsed.slice_records:,}, {'no duplicates' if parsed.dedup else 'duplicates count'}{framed}"
    )


def _name(source: Source, found: ClusterState) -> str:
    return str(source) if source in found.offsets else f"{source} of UUID {source.topic_id}"


def _print_change(change: Change, found: ClusterState) -> None:
    shown = table("New rules", "source", "from offset", "log end", "rules")
    for start in change.starts:
        shown.add_row(
            str(start.source), f"{start.start:,}", f"{found.offsets[start.source].log_end:,}", describe(start.rules)
        )
    data.print(shown)
    for line in _words(change.starts, found):
        data.print(line, markup=False)


def _words(starts: tuple[StartRow, ...], found: ClusterState) -> list[str]:
    """Returns the fields that change, one a line."""
    changes = set()
    for start in starts:
        ledger = found.ledgers[start.source]
        if ledger.starts:
            before, after = Rules.from_json(ruling(ledger.starts)[-1].rules), Rules.from_json(start.rules)
            pairs = ((field.name, getattr(before, field.name), getattr(after, field.name)) for field in fields(Rules))
            changes |= {f"{name}: {was} -> {becomes}" for name, was, becomes in pairs if was != becomes}
    return sorted(changes)


def _rules_document(text: str) -> dict[str, Any]:
    parsed = known_rules(text)
    if parsed is None:
        return {"fingerprint": fingerprint_of(text), "rules": json.loads(text), "known": False}
    return {"fingerprint": parsed.fingerprint, "rules": asdict(parsed), "known": True}


def _as_document(asked: RulesSettings, found: ClusterState) -> dict[str, Any]:
    """Returns the rules as JSON. Durations are in milliseconds, sizes in offsets."""
    return {
        "settings": {name: value for name, value in asdict(asked.to_rules()).items() if name != "prefix_bytes"},
        "framed": sorted(action.label for action in asked.framed),
        "differs": any(differs(asked, source, found.ledgers[source]) for source in found.offsets),
        "sources": [
            {
                "source": str(source),
                "topic_id": str(source.topic_id),
                "listed": source in found.offsets,
                "differs": source in found.offsets and differs(asked, source, ledger),
                "epochs": [
                    {
                        "epoch": start.epoch,
                        "start": start.start,
                        "start_stream_time": start.start_stream_time,
                        **_rules_document(start.rules),
                    }
                    for start in ruling(ledger.starts)
                ],
                "lost": as_documents(given_up(ledger)),
            }
            for source, ledger in found.ledgers.items()
        ],
    }
