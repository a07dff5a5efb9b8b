"""`pintally status`: position, lag and outcomes of each source."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from pintally.cli import replaced_topics
from pintally.cli.console import data, print_json, table
from pintally.cli.lost_ranges import as_documents, describe
from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import LostRow, ReplacedRow
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letter_queries import KIND
from pintally.sinks.reads.operating import read_sealed
from pintally.streams.counting.log import TopicInfo
from pintally.streams.counting.recovery import given_up
from pintally.streams.counting.rules_in_force import rules_in_force, unknown_rules
from pintally.streams.kafka.durability import read_durability
from pintally.streams.kafka.open_transactions import OpenTransaction, hanging_transactions
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.operations.progress import Progress, lag_of, read_progress
from pintally.streams.settings import Settings, load_settings
from pintally.streams.worker.clocks import Reading, broker_differences, difference, read_clocks
from pintally.streams.worker.servers import servers_of, sink_of

# The first reason of each kind is shown.
REASONS = f"""
SELECT outcome, argMin(reason, (topic, partition, offset)), count() AS records
FROM dead_letters FINAL
WHERE topic IN %(topics)s
GROUP BY outcome, {KIND} AS kind
ORDER BY records DESC, outcome, kind
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Records that were not counted for similar reasons: one of the reasons, and the number of records."""

    outcome: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` shows."""

    sources: list[Progress]
    dead_letters: list[Reason]
    sealed_until: datetime | None  # hours before it are sealed; None if no hour is sealed
    lost: list[LostRow] = field(default_factory=list)  # accepted losses
    clocks: Reading | None = None  # of this machine and of ClickHouse
    clock_differences: list[str] = field(default_factory=list)  # as text; empty if all clocks agree
    replaced: list[ReplacedRow] = field(default_factory=list)  # replaced topics
    waiting: list[OpenTransaction] = field(default_factory=list)  # hanging transactions that block sources
    weaknesses: list[str] = field(default_factory=list)  # what may lose records if a broker is lost, as text
    unknown_rules: list[str] = field(default_factory=list)  # rules that a newer version wrote, with the remedy, as text


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the position, the lag and the outcomes of each source.

    A source is one partition of one topic. All offsets below its position are counted in ClickHouse; its lag is the
    number of offsets from there to the end of the log. Each offset below the position has one outcome. The stream time
    is the highest Kafka timestamp below the position. The command also lists the reasons of late and invalid records,
    accepted losses, replaced topics, rules that a newer version of Pintally wrote, topics that lose records if a broker
    is lost, and clocks of this machine, ClickHouse and brokers that differ by more than half a minute.

    Where several servers share the pins, the position is that of the one that is furthest behind.

    An open transaction blocks all records behind it. If its producer wrote nothing for a minute, it is listed with the
    command that aborts it.

    Exit codes: 0 shown, 75 if Kafka or ClickHouse does not answer, 2 if it refuses. For a script that waits until all
    records are counted:

        pintally status --json | jq .lag
    """
    settings = load_settings(over_shards=True)
    found = read_status(settings)
    if as_json:
        print_json(as_document(found))
    else:
        print_sources(found.sources)
        for each in found.waiting:
            data.print(f"\nwaits: {each.in_words(now_ms())}", markup=False, soft_wrap=True)
            data.print(f"  {each.remedy(settings.kafka)}", markup=False, soft_wrap=True)
        print_dead_letters(found.dead_letters)
        until = found.sealed_until
        data.print(f"\nHours are sealed until {until:%Y-%m-%d %H:%M} UTC." if until else "\nNo hour is sealed yet.")
        for row in found.lost:
            data.print(f"lost: {describe(row)}", markup=False)
        for words in found.clock_differences:
            data.print(f"clocks differ: {words}", markup=False)
        for words in found.unknown_rules:
            data.print(f"not known to this version: {words}", markup=False, soft_wrap=True)
        for words in found.weaknesses:
            data.print(f"may be lost: {words}", markup=False, soft_wrap=True)
        replaced_topics.print_replaced(found.replaced)


def read_status(settings: Settings) -> Status:
    """Ask Kafka and ClickHouse. Raises TopicMissing, KafkaUnavailable and SinkError."""
    sink = sink_of(servers_of(settings.clickhouse, only_reads=True), only_reads=True)
    sources = read_progress(settings.kafka, settings.topics, sink)
    with sink.session() as session:
        clocks = read_clocks(session)
        known = session.read_ledgers(list(sink.known_sources()))
    lost = [row for ledger in known.values() for row in given_up(ledger) if row.source.topic in settings.topics.actions]
    replaced = [row for row in sink.replaced() if row.source.topic in settings.topics.actions]
    with Connection(settings.clickhouse, only_reads=True) as connection:
        reasons = [Reason(*row) for row in connection.rows(REASONS, topics=tuple(settings.topics.actions))]
    until = min(_sealed_until(server) for server in settings.clickhouse.shards)
    sealed_until = datetime.fromtimestamp(until, UTC) if until else None
    waiting = hanging_transactions(settings.kafka, {each.source: each.ends for each in sources})
    topics = describe_topics(settings.kafka, settings.topics)
    return Status(
        sources,
        reasons,
        sealed_until,
        lost,
        clocks,
        _differences(topics, sources, clocks),
        replaced,
        waiting,
        read_durability(settings.kafka, topics),
        unknown_rules(rules_in_force(known.values())),
    )


def _sealed_until(server: ClickHouseAddress) -> int:
    with Connection(server, only_reads=True) as connection:
        return read_sealed(connection).until


def _differences(topics: Mapping[str, TopicInfo], sources: list[Progress], clocks: Reading) -> list[str]:
    """Returns which clocks differ, as text. Timestamps of producers say nothing about the clock of a broker."""
    stamped = {
        each.source: each.stream_time
        for each in sources
        if each.stream_time is not None and topics[each.source.topic].timestamp_type == "LogAppendTime"
    }
    ours = difference(clocks)
    return [*([ours] if ours else []), *broker_differences(clocks, stamped, {}).values()]


def as_document(found: Status) -> dict[str, Any]:
    """Returns the status as JSON. Offsets are numbers, stream times are Unix ms."""
    return {
        "lag": lag_of(found.sources),
        "outcomes": asdict(sum_of([each.outcomes for each in found.sources])),
        "sealed_until": found.sealed_until.isoformat() if found.sealed_until else None,
        "clocks": {
            "ahead_of_clickhouse_ms": found.clocks.ahead_ms if found.clocks else None,
            "differences": found.clock_differences,
        },
        "sources": [
            {
                "topic": each.source.topic,
                "topic_id": str(each.source.topic_id),
                "partition": each.source.partition,
                "log_start": each.log_start,
                "log_end": each.log_end,
                "position": each.position,
                "lag": each.lag,
                "stream_time": each.stream_time,
                "outcomes": asdict(each.outcomes),
            }
            for each in found.sources
        ],
        "dead_letters": [asdict(reason) for reason in found.dead_letters],
        "replaced": replaced_topics.as_documents(found.replaced),
        "weaknesses": found.weaknesses,
        "unknown_rules": found.unknown_rules,
        "waiting": [
            {
                "source": str(each.source),
                "offset": each.offset,
                "log_end": each.log_end,
                "producer_id": each.producer_id,
                "last_written": each.last_ms,
            }
            for each in found.waiting
        ],
        "lost": [{"source": str(row.source), **each} for row in found.lost for each in as_documents([row])],
    }


def print_sources(sources: list[Progress]) -> None:
    """Print position and lag of each source, then the outcomes of the offsets below its position."""
    far = table("Sources", "source", "stream time (UTC)", "position", "log end", "lag", left=2)
    names = [each.name for each in fields(Outcomes)]
    outcomes = table("\nOutcomes", "source", *names)
    for each in sources:
        position = "not started" if each.position is None else f"{each.position:,}"
        far.add_row(str(each.source), utc(each.stream_time), position, f"{each.log_end:,}", f"{each.lag:,}")
        outcomes.add_row(str(each.source), *counts(each.outcomes))
    far.add_row("all", "", "", "", f"{lag_of(sources):,}", style="bold")
    outcomes.add_row("all", *counts(sum_of([each.outcomes for each in sources])), style="bold")
    data.print(far, outcomes)


def print_dead_letters(reasons: list[Reason]) -> None:
    """Print one line for each kind of reason."""
    if not reasons:
        data.print("\nNo dead letters.")
        return
    shown = table("\nDead letters", "outcome", "records")
    shown.add_column("example of the reason")
    for reason in reasons:
        shown.add_row(reason.outcome, f"{reason.records:,}", escape(reason.reason))
    data.print(shown)


def now_ms() -> int:
    """Returns the time of this machine in Unix ms."""
    return int(time.time() * 1000)


def counts(outcomes: Outcomes) -> list[str]:
    """Returns the outcomes as text for a table."""
    return [f"{number:,}" for number in asdict(outcomes).values()]


def utc(milliseconds: int | None) -> str:
    """Returns a stream time (Unix ms) as text."""
    if not milliseconds or milliseconds < 0:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
