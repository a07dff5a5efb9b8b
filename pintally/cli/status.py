"""`pintally status`: how far each source is counted."""

import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from pintally.cli import replaced_topics
from pintally.cli.console import data, print_json, table
from pintally.cli.lost_ranges import as_documents, describe, given_up
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LostRow, ReplacedRow
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letter_queries import KIND
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.open_transactions import OpenTransaction, hanging_transactions
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.operations.progress import Progress, lag_of, read_progress, sum_of
from pintally.streams.settings import Settings, load_settings
from pintally.streams.worker.clock_differences import broker_differences, difference
from pintally.streams.worker.wall_clock import Reading, read_clocks

QUERY_SECONDS = 30.0
# Of each kind the first is shown.
REASONS = f"""
SELECT outcome, argMin(reason, (topic, partition, offset)), count() AS records
FROM dead_letters FINAL
WHERE topic IN %(topics)s
GROUP BY outcome, {KIND} AS kind
ORDER BY records DESC, outcome, kind
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why records were not counted, by the example of one of them, and how many they are."""

    outcome: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` shows."""

    sources: list[Progress]
    dead_letters: list[Reason]
    sealed_until: datetime | None  # hours before it are rolled up and final; None while no hour is
    lost: list[LostRow] = field(default_factory=list)  # what an operator gave up
    clocks: Reading | None = None  # this machine's and ClickHouse's
    clock_differences: list[str] = field(default_factory=list)  # in words; empty while all agree
    replaced: list[ReplacedRow] = field(default_factory=list)  # topics that took the place of others
    waiting: list[OpenTransaction] = field(default_factory=list)  # hanging transactions that hold sources back


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how far each source is counted, and what is behind.

    A source is one partition of one topic. All offsets below its position are in ClickHouse; lag is what the log holds
    beyond. Each offset has one outcome, so the outcomes add up to what was read. The clock is the newest Kafka
    timestamp below the position. Late and invalid records are listed with their reasons, ranges that an operator gave
    up, and clocks that differ by more than half a minute: this machine's, ClickHouse's, the brokers'.

    A transaction that was begun and not ended holds back all behind it; if nobody has written in it for a minute it is
    named, with the command that aborts it.

    Exit codes: 0 shown, 75 if Kafka or ClickHouse does not answer, 2 if it refuses. For a script that waits until all
    is counted:

        pintally status --json | jq .lag
    """
    settings = load_settings()
    found = read_status(settings)
    if as_json:
        print_json(as_document(found))
    else:
        print_sources(found.sources)
        for each in found.waiting:
            data.print(f"\nwaits: {each.in_words(now_ms())}", markup=False, soft_wrap=True)
            data.print(f"  {each.remedy(settings)}", markup=False, soft_wrap=True)
        print_dead_letters(found.dead_letters)
        until = found.sealed_until
        data.print(f"\nHours are sealed until {until:%Y-%m-%d %H:%M} UTC." if until else "\nNo hour is sealed yet.")
        for row in found.lost:
            data.print(f"lost: {describe(row)}", markup=False)
        for words in found.clock_differences:
            data.print(f"clocks differ: {words}", markup=False)
        replaced_topics.print_replaced(found.replaced)


def read_status(settings: Settings) -> Status:
    """Ask Kafka and ClickHouse. Raises TopicMissing, KafkaUnavailable and SinkError."""
    sink = ClickHouseSink(settings.clickhouse, only_reads=True)
    sources = read_progress(settings, sink)
    with sink.session() as session:
        clocks = read_clocks(session)
        known = session.read_ledgers(list(sink.known_sources()))
    lost = [row for ledger in known.values() for row in given_up(ledger) if row.source.topic in settings.topics.actions]
    replaced = [row for row in sink.replaced() if row.source.topic in settings.topics.actions]
    with Connection(settings.clickhouse, QUERY_SECONDS, only_reads=True) as connection:
        reasons = [Reason(*row) for row in connection.rows(REASONS, topics=tuple(settings.topics.actions))]
        (until,) = connection.one("SELECT toUnixTimestamp(sealed_until) FROM seal_state")
    sealed_until = datetime.fromtimestamp(until, UTC) if until else None
    waiting = hanging_transactions(settings, {each.source: each.ends for each in sources})
    return Status(
        sources, reasons, sealed_until, lost, clocks, _differences(settings, sources, clocks), replaced, waiting
    )


def _differences(settings: Settings, sources: list[Progress], clocks: Reading) -> list[str]:
    """Whose clocks differ, in words. What producers stamp says nothing of a broker's clock."""
    topics = describe_topics(settings)
    stamped = {
        each.source: each.stream_time
        for each in sources
        if each.stream_time is not None and topics[each.source.topic].timestamp_type == "LogAppendTime"
    }
    ours = difference(clocks)
    return [*([ours] if ours else []), *broker_differences(clocks, stamped, {}).values()]


def as_document(found: Status) -> dict[str, Any]:
    """The status for scripts: offsets as numbers, clocks in Unix ms."""
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
    """How far each source is, then the outcomes of what is below its position."""
    far = table("Sources", "source", "stream time (UTC)", "position", "log end", "lag", left=2)
    names = [each.name for each in fields(Outcomes)]
    outcomes = table("\nOutcomes", "source", *names)
    for each in sources:
        position = "not begun" if each.position is None else f"{each.position:,}"
        far.add_row(str(each.source), clock(each.stream_time), position, f"{each.log_end:,}", f"{each.lag:,}")
        outcomes.add_row(str(each.source), *counts(each.outcomes))
    far.add_row("all", "", "", "", f"{lag_of(sources):,}", style="bold")
    outcomes.add_row("all", *counts(sum_of([each.outcomes for each in sources])), style="bold")
    data.print(far, outcomes)


def print_dead_letters(reasons: list[Reason]) -> None:
    """One line a kind of reason."""
    if not reasons:
        data.print("\nNo dead letters.")
        return
    shown = table("\nDead letters", "outcome", "records")
    shown.add_column("reason, of one of them")
    for reason in reasons:
        shown.add_row(reason.outcome, f"{reason.records:,}", escape(reason.reason))
    data.print(shown)


def now_ms() -> int:
    """Unix ms."""
    return int(time.time() * 1000)


def counts(outcomes: Outcomes) -> list[str]:
    """The outcomes as cells of a table."""
    return [f"{number:,}" for number in asdict(outcomes).values()]


def clock(milliseconds: int | None) -> str:
    """A source's clock for people."""
    if not milliseconds or milliseconds < 0:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
