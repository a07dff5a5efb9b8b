"""Is the event of a dead letter counted already? Searched for in the log, as far as Kafka keeps it."""

from collections.abc import Sequence
from uuid import UUID

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.log import Log
from pintally.audit.occurrences import Ids, Occurrence, find
from pintally.audit.tables import known_ids, read_replaced
from pintally.cli.console import progress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letter_queries import have_letters
from pintally.streams.audit_addresses import addresses_of, as_ours
from pintally.streams.operations.replay.plan import Planned, Verdict
from pintally.streams.settings import Settings

QUERY_SECONDS = 60.0
COLUMNS = (TextColumn("searching the log"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def counted_events(settings: Settings, planned: Sequence[Planned], *, quiet: bool) -> dict[UUID, str]:
    """The events of letters that are ready and of which the log has another record that is no dead letter, and where.

    A record that is not counted yet is one of these. Looks from the earliest event on, as far as a record may lag it.
    Raises PintallyError if the log cannot be searched.
    """
    events = [each.event for each in planned if each.event is not None and each.verdict is Verdict.READY]
    if not events:
        return {}
    since_ms = min(event.occurred_at for event in events) - settings.rules.to_rules().max_clock_skew_ms
    actions = {settings.topics.actions[each.letter.source.topic] for each in planned if each.verdict is Verdict.READY}
    topics = [topic for topic, action in settings.topics.actions.items() if action in actions]
    try:
        found = _search(settings, topics, since_ms, Ids([str(event.event_id) for event in events]), quiet=quiet)
    except CannotTell as error:
        raise as_ours(error, settings) from error
    places = {each: (each.at.topic, each.at.topic_id, each.at.partition, each.offset) for each in found}
    with Connection(settings.clickhouse, QUERY_SECONDS, only_reads=True) as connection:
        invalid = have_letters(connection, list(places.values()))
    return {UUID(each.event_id): f"in {each}" for each, place in places.items() if place not in invalid}


def _search(settings: Settings, topics: Sequence[str], since_ms: int, ids: Ids, *, quiet: bool) -> list[Occurrence]:
    with ClickHouse(addresses_of(settings)) as clickhouse:
        known = known_ids(read_replaced(clickhouse))
    with (
        Log(addresses_of(settings)) as log,
        Progress(*COLUMNS, console=progress, transient=True, disable=quiet) as bar,
    ):
        starts = log.starts(log.partitions(topics, known), since_ms)
        task = bar.add_task("", total=sum(max(0, at.end - start) for at, start in starts.items()))
        return list(find(log, starts, ids, lambda offsets: bar.advance(task, offsets)))
