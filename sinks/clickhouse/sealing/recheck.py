"""The second check of sealers that ended before it: it finds rows that came just before a publication.

A sealer publishes one window after the other and checks each one again (`rollup`, step 6). So windows that were not
checked again are among the windows that were published last.
"""

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import NAMES
from pintally.sinks.clickhouse.sealing.again import known_window
from pintally.sinks.clickhouse.sealing.cut_times import read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import open_windows, read_seals
from pintally.sinks.clickhouse.sealing.reopen import reopen
from pintally.sinks.clickhouse.sealing.rollup import Window, is_unchanged

PUBLISHED_LAST = f"""
SELECT toUnixTimestamp(window_start), seal, pins, {NAMES} FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open AND written_at >= (SELECT max(written_at) FROM sealed) - INTERVAL 10 MINUTE
"""
FEATURES_PUBLISHED_LAST = """
NOT is_open AND kind != 'base' AND written_at >= (SELECT max(written_at) FROM feature_seals) - INTERVAL 10 MINUTE
"""

_seen: set[tuple[object, ...]] = (
    set()
)  # server, database, hour and seal that this process has looked at; of features with kind


def recheck(connection: Connection) -> None:
    """Open the last published hours whose roll-up is not the sum of their minutes. Each process checks each once."""
    where = connection.one("SELECT serverUUID(), currentDatabase()")
    for hour, seal, *sums in connection.rows(PUBLISHED_LAST):
        name = (*where, hour, seal)
        if name not in _seen and not is_unchanged(connection, Window("hour", hour), tuple(sums)):
            reopen(connection, [hour])
        _seen.add(name)


def recheck_known(connection: Connection) -> None:
    """The same of the buckets and complete hours of published cuts. Bases are looked at in each pass (`again`)."""
    where, cuts = connection.one("SELECT serverUUID(), currentDatabase()"), read_cuts(connection)
    for row in read_seals(connection, FEATURES_PUBLISHED_LAST):
        name = (*where, row.name, row.seal)
        if name not in _seen and (window := known_window(connection, cuts, row)):
            if not window.still_has(row.sums):
                open_windows(connection, [row.name])
            _seen.add(name)
