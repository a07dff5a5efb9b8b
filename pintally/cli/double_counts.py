"""The warning of `accept-loss` if a new topic has the name of a lost one: how much might be counted twice."""

import asyncio
from collections.abc import Iterable, Sequence

from pintally.cli.console import data
from pintally.schemas.rows import LostKind
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.recovery import follow
from pintally.streams.operations.change.cluster_state import ClusterState
from pintally.streams.operations.change.lost import Lost
from pintally.streams.operations.change.places import Would, would_count
from pintally.streams.operations.change.totals import added, events, hours, in_common
from pintally.streams.settings import Settings


def warn(settings: Settings, session: MaintenanceSession, found: ClusterState, plan: Iterable[Lost]) -> None:
    """Read the new topics, and print how many of their events may already be counted."""
    retired: dict[str, list[Source]] = {}
    for lost in plan:
        if lost.row and lost.row.kind is LostKind.RETIRED:
            retired.setdefault(lost.source.topic, []).append(lost.source)
    for topic, old in sorted(retired.items()):
        stream_time = max(follow(found.ledgers[source]).stream_time for source in old)
        would = [
            asyncio.run(_of(settings, source, ends.log_start, ends.last_stable, stream_time))
            for source, ends in found.offsets.items()
            if source.topic == topic and not found.ledgers[source].starts
        ]
        _print(topic, session, old, would)


async def _of(settings: Settings, source: Source, start: int, end: int, stream_time: int) -> Would:
    action, rules = settings.topics.actions[source.topic], settings.rules.in_topic(source.topic)
    return await would_count(settings.kafka, source, action, rules, (start, 0), end, stream_time)


def _print(topic: str, session: MaintenanceSession, old: Sequence[Source], would: Sequence[Would]) -> None:
    counted, new = session.cell_totals(old), added([each.cells for each in would])
    now, more, older = events(counted), events(new), sum(each.older for each in would)
    same = in_common(counted, new)
    if not older and not events(same):
        return
    data.print(f"warning: the new topic {topic} may hold events that are already counted:", markup=False)
    data.print(f"  {older:,} of its records have Kafka timestamps at or before the last counted record")
    if twice := events(same):
        data.print(f"  {twice:,} of its events have pins and minutes that already have counts, {hours(same)}")
    data.print(f"  events counted now: {now:,}; with all events of the new topic: {now + more:,}")
    data.print(
        "  If the new topic is a copy, run `pintally replace-topic` instead: the counts stay as they are.", markup=False
    )
