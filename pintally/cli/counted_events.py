"""Searches the log for events of dead letters that are already counted."""

from collections.abc import Sequence
from uuid import UUID

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.log import Log
from pintally.audit.occurrences import Ids, Occurrence, find
from pintally.audit.tables import known_ids, read_replaced
from pintally.cli.console import progress_bar
from pintally.sinks.clickhouse.dead_letter_queries import have_letters
from pintally.sinks.reads.shards import first_shard
from pintally.streams.audit_addresses import addresses_of, as_ours
from pintally.streams.operations.replay.plan import Planned, Verdict
from pintally.streams.settings import Settings


def counted_events(settings: Settings, planned: Sequence[Planned], *, quiet: bool) -> dict[UUID, str]:
    """Returns the events of ready dead letters that have another record in the log that is no dead letter, and where.

    That record may be one that is not counted yet. The search begins at the earliest event time less the clock skew.
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
        raise as_ours(error, settings.kafka) from error
    places = {each: (each.at.topic, each.at.topic_id, each.at.partition, each.offset) for each in found}
    with first_shard(settings.clickhouse.shards) as connection:
        invalid = have_letters(connection, list(places.values()))
    return {UUID(each.event_id): f"in {each}" for each, place in places.items() if place not in invalid}


def _search(settings: Settings, topics: Sequence[str], since_ms: int, ids: Ids, *, quiet: bool) -> list[Occurrence]:
    with ClickHouse(addresses_of(settings)) as clickhouse:
        known = known_ids(read_replaced(clickhouse))
    with (
        Log(addresses_of(settings)) as log,
        progress_bar("searching the log", quiet=quiet) as bar,
    ):
        starts = log.starts(log.partitions(topics, known), since_ms)
        task = bar.add_task("", total=sum(max(0, at.end - start) for at, start in starts.items()))
        return list(find(log, starts, ids, lambda offsets: bar.advance(task, offsets)))
