"""The second look of sealers that ended before they took it: rows that came just before a publication stay unseen else.

A sealer publishes one window after the other and looks at each once more (`rollup`, step 6). So what nobody has
looked at again is among what was published last, whoever published it.
"""

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import NAMES
from pintally.sinks.clickhouse.sealing.reopen import reopen
from pintally.sinks.clickhouse.sealing.rollup import Window, is_unchanged

PUBLISHED_LAST = f"""
SELECT toUnixTimestamp(window_start), seal, pins, {NAMES} FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open AND written_at >= (SELECT max(written_at) FROM sealed) - INTERVAL 10 MINUTE
"""

_seen: set[tuple[object, ...]] = set()  # server, database, hour and seal that this process has looked at


def recheck(connection: Connection) -> None:
    """Open the hours published last whose roll-up is not the sum of their minutes. Each process looks once at each."""
    where = connection.one("SELECT serverUUID(), currentDatabase()")
    for hour, seal, *sums in connection.rows(PUBLISHED_LAST):
        name = (*where, hour, seal)
        if name not in _seen and not is_unchanged(connection, Window("hour", hour), tuple(sums)):
            reopen(connection, [hour])
        _seen.add(name)
