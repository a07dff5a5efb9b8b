"""After how many days ClickHouse deletes dead letters."""

import re

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection

TTL = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'dead_letters'"


def dead_letter_days(connection: Connection) -> int | None:
    """The days that the table keeps a letter after it was written; None: for ever."""
    (engine,) = connection.one(TTL)
    found = re.search(r"TTL written_at \+ toIntervalDay\((\d+)\)", engine)
    return int(found[1]) if found else None


def keep_dead_letters(address: ClickHouseAddress, days: int, timeout_seconds: float = 60) -> bool:
    """Set it, also for letters that are there; whether it was another before. Raises SinkError."""
    with Connection(address, timeout_seconds) as connection:
        if dead_letter_days(connection) == days:
            return False
        connection.execute(f"ALTER TABLE dead_letters MODIFY TTL written_at + INTERVAL {int(days)} DAY")
        return True
