"""Cells of buckets before the first one, that came while the first cut was sealed: its sealer did not see them.

A writer that ended before the first cut was published found no cut, so it opened nothing. At later cuts there is no
such case: what arrives before a published cut, its writer opens.
"""

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import known_rows
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Cuts
from pintally.sinks.clickhouse.sealing.feature_seals import HOURS, TILES, Name, open_windows, read_seals


def open_before_first(connection: Connection, cuts: Cuts) -> list[Name]:
    """Open buckets before the first cut's, and hours that were complete at it, that have cells but were never sealed.
    Returns them."""
    first, until = cuts.steps[0]
    buckets = connection.rows(known_rows.FILLED_BUCKETS, first=0, end=first - BUCKET)
    hours = connection.rows(known_rows.FILLED_HOURS, first=0, end=until, complete_at=first)
    filled = {(TILES, row[0]) for row in buckets} | {(HOURS, row[0]) for row in hours}
    if not filled:
        return []
    where = "(toString(kind), toUnixTimestamp(window_start)) IN %(filled)s"
    opened = sorted(filled - {row.name for row in read_seals(connection, where, filled=tuple(sorted(filled)))})
    open_windows(connection, opened)
    return opened
