"""The days after which ClickHouse deletes dead letters."""

import re

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection

TTL = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'dead_letters'"


def dead_letter_days(connection: Connection) -> int | None:
    """Returns how many days the table keeps a dead letter after it was written; None: permanently."""
    (engine,) = connection.one(TTL)
    found = re.search(r"TTL written_at \+ toIntervalDay\((\d+)\)", engine)
    return int(found[1]) if found else None


def keep_dead_letters(address: ClickHouseAddress, days: int, timeout_seconds: float = 60) -> bool:
    """Set the days, also for existing dead letters. Returns whether they changed. Raises SinkError."""
    with Connection(address, timeout_seconds) as connection:
        if dead_letter_days(connection) == days:
            return False
        connection.execute(f"ALTER TABLE dead_letters MODIFY TTL written_at + INTERVAL {int(days)} DAY")
        return True
