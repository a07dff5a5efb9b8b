"""The days after which ClickHouse deletes dead letters, and hashes of users."""

import re

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection

TTL = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = %(table)s"


def dead_letter_days(connection: Connection) -> int | None:
    """Returns how many days the table keeps a dead letter after it was written; None: permanently."""
    return _days(connection, "dead_letters")


def member_days(connection: Connection) -> int | None:
    """Returns how many days the tables keep hashes of users after the hour; None: permanently."""
    return _days(connection, "pin_members")


def _days(connection: Connection, table: str) -> int | None:
    (engine,) = connection.one(TTL, table=table)
    found = re.search(r"TTL \w+ \+ toIntervalDay\((\d+)\)", engine)
    return int(found[1]) if found else None


def keep_dead_letters(address: ClickHouseAddress, days: int, timeout_seconds: float = 60) -> bool:
    """Set the days, also for existing dead letters. Returns whether they changed. Raises SinkError."""
    with Connection(address, timeout_seconds) as connection:
        if dead_letter_days(connection) == days:
            return False
        connection.execute(f"ALTER TABLE dead_letters MODIFY TTL written_at + INTERVAL {int(days)} DAY")
        return True


def keep_members(address: ClickHouseAddress, days: int, timeout_seconds: float = 60) -> bool:
    """Set the days after which hashes of users are deleted. Returns whether they changed. Raises SinkError."""
    with Connection(address, timeout_seconds) as connection:
        if member_days(connection) == days:
            return False
        connection.execute(f"ALTER TABLE pin_user_states MODIFY TTL window_start + INTERVAL {int(days)} DAY")
        for table in ("flagged_users", "arm_members", "pin_members"):  # the last says what is set
            connection.execute(f"ALTER TABLE {table} MODIFY TTL hour + INTERVAL {int(days)} DAY")
        return True
