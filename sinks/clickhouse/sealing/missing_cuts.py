"""Cuts that are gone between others, put back. The newest are published again by the next sealing.

Of a cut that is gone, what is left is the row of the bucket that ended at it: it was written just before the cut was
published. If the bucket was sealed again meanwhile, the cut counts as published with the next one. What was complete at
it, the rows of hours tell.
"""

from itertools import pairwise

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET
from pintally.sinks.clickhouse.sealing.reopen import HOUR

CUTS = """
SELECT toUnixTimestamp(cut), toUnixTimestamp(argMin(c.hours_until, (c.published_at, c.seal))),
    toUnixTimestamp64Milli(min(c.published_at))
FROM cuts AS c WHERE cut >= toStartOfDay(now('UTC')) - INTERVAL 100 DAY
GROUP BY cut ORDER BY cut
"""
BUCKETS = """
SELECT toUnixTimestamp(window_start), toInt64(toUnixTimestamp(written_at)) * 1000, seal FROM feature_seals FINAL
WHERE kind = 'tiles' AND window_start IN %(starts)s
"""
COMPLETE = """
SELECT max(toUnixTimestamp(window_start)) FROM feature_seals FINAL
WHERE kind = 'hours' AND complete_at <= toDateTime(%(cut)s, 'UTC') AND window_start < toDateTime(%(until)s, 'UTC')
"""


def put_back_cuts(connection: Connection) -> list[int]:
    """Insert a row for each cut (seconds since 1970) that is missing between two others. Returns these cuts."""
    cuts = connection.rows(CUTS)
    missing: list[tuple[int, int, int, int]] = []
    for (before, reached, _), (after, until, published) in pairwise(cuts):
        gone = range(before + BUCKET, after, BUCKET)
        if not gone:
            continue
        starts = tuple(cut - BUCKET for cut in gone)
        sealed = {start: (written, seal) for start, written, seal in connection.rows(BUCKETS, starts=starts)}
        for cut in gone:
            (last,) = connection.one(COMPLETE, cut=cut, until=until)
            written, seal = sealed.get(cut - BUCKET, (published, 0))
            missing.append((cut, min(until, max(reached, last + HOUR)), max(cut * 1000, min(written, published)), seal))
    connection.insert("cuts", ("cut", "hours_until", "published_at", "seal"), missing)
    return [cut for cut, *_ in missing]
