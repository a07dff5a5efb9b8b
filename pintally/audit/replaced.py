"""Replaced topics, and events that may be counted twice for that reason."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.flushed import SAME_OFFSETS, Flushed, ReplacedRow
from pintally.audit.words import utc

HOW = {
    SAME_OFFSETS: "a copy with the same offsets",
    "copied": "a copy with other offsets",
    "new_records": "new records only",
}
# Of each minute and pin all but the largest count may be of events that another incarnation has counted too.
TWICE = """
SELECT toUInt32(hour) AS hour, sum(every - most) AS events
FROM
(
    SELECT toStartOfHour(minute) AS hour, sum(own) AS every, max(own) AS most
    FROM
    (
        SELECT minute, pin_id, action, transform(source, {order}, {places}, 0) AS incarnation, sum(events) AS own
        FROM pin_minutes FINAL
        WHERE source IN {order} AND minute >= toDateTime({since}, 'UTC')
        GROUP BY minute, pin_id, action, incarnation
    )
    GROUP BY minute, pin_id, action
    HAVING count() > 1
)
GROUP BY hour
ORDER BY hour"""


class Copy(NamedTuple):
    """A topic that is assumed to be a copy with the same offsets of a topic in start rows."""

    topic: str
    topic_id: UUID
    known_id: UUID


def supposed(flushed: Sequence[Flushed], copies: Sequence[Copy]) -> list[Flushed]:
    """Returns the sources of the copied topics, as if the copies had replaced them."""
    return [
        replace(each, replaced=(*each.replaced, _row(each, copy)))
        for copy in copies
        for each in flushed
        if each.starts and (each.topic, each.topic_id) == (copy.topic, copy.known_id)
    ]


def _row(each: Flushed, copy: Copy) -> ReplacedRow:
    place = each.id, copy.topic, copy.topic_id, each.partition, each.id, each.topic, each.topic_id
    return ReplacedRow(*place, SAME_OFFSETS, 0, 0, 0, 0, 0, "", "")


def said(replaced: Sequence[ReplacedRow], only: Sequence[str]) -> list[str]:
    """Returns one line for each replaced topic."""
    mine = [row for row in replaced if not only or row.topic in only or f"{row.topic}[{row.partition}]" in only]
    return [_in_words(list(rows)) for _, rows in groupby(mine, key=lambda row: (row.epoch, row.topic))]


def _in_words(rows: Sequence[ReplacedRow]) -> str:
    first = rows[0]
    places = ", ".join(f"[{row.partition}] from {row.start} instead of {row.old_end}" for row in rows)
    return (
        f"{first.topic} of UUID {first.topic_id} replaced {first.old_topic} of UUID {first.old_topic_id}:"
        f" {HOW[first.how]}, counted {places}; {first.evidence}" + (f" ({first.note})" if first.note else "")
    )


def counted_twice(
    clickhouse: ClickHouse,
    flushed: Sequence[Flushed],
    replaced: Sequence[ReplacedRow],
    only: Sequence[str],
    since: int,
) -> Iterator[str]:
    """Yields topics whose earlier log, which has ended, counts the same pins in the same minutes.

    The number is an upper bound: events of one pin and minute may be different events. If it is 0, no event is counted
    twice.
    """
    later = {row.old_topic: row.topic for row in replaced}
    for name in sorted({_last(each.topic, later) for each in flushed if each.is_over}):
        mine = [each for each in flushed if each.starts and _last(each.topic, later) == name]
        if only and not any(each.topic in only or str(each) in only for each in mine):
            continue
        incarnations = sorted({(each.topic, str(each.topic_id)) for each in mine})
        places = [incarnations.index((each.topic, str(each.topic_id))) + 1 for each in mine]
        order = f"[{', '.join(f'toUInt64({each.id})' for each in mine)}]"
        rows = clickhouse.rows(TWICE.format(order=order, places=places, since=since))
        if events := sum(int(row["events"]) for row in rows):
            hours = f"{utc(rows[0]['hour'])} to {utc(rows[-1]['hour'] + 3600)}"
            yield (
                f"{name}: up to {events:,} events in {len(rows):,} hours from {hours} may be counted twice: the log"
                " that is counted now has events of the same pins and minutes as one that is over, which cannot be"
                " read any more\n  --since-hours leaves them out. See docs/exactness.md."
            )


def _last(topic: str, later: dict[str, str]) -> str:
    """The name that took the place of this one, and is not taken itself."""
    seen = {topic}
    while (topic := later.get(topic, topic)) not in seen:
        seen.add(topic)
    return topic
