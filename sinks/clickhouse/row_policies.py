"""Row policies hide rows from a user without an error. A user who counts, seals or checks must see all rows.

A plan says of each table it reads whether a policy filters it; what `system.row_policies` says needs a right that
workers have not. An empty table has no plan, so this is looked at again now and then.
"""

import re
from collections.abc import Sequence
from time import monotonic

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.users import WRITTEN

LOOK_SECONDS = 60.0
FILTERED = re.compile(r"ReadFromMergeTree \(\S+?\.(\w+)\)(?:(?!ReadFrom).)*?Row level filter", re.DOTALL)

_looked: dict[tuple[ClickHouseAddress, Sequence[str]], float] = {}


def refuse_hidden_rows(connection: Connection, tables: Sequence[str] = WRITTEN) -> None:
    """Raise SinkError if a row policy filters one of the tables for this user. Checks at most once a minute."""
    key = (connection.address, tables)
    if monotonic() - _looked.get(key, -LOOK_SECONDS) < LOOK_SECONDS:
        return
    reads = " UNION ALL ".join(f"SELECT 1 FROM {table}" for table in tables)
    plan = "\n".join(line for (line,) in connection.rows(f"EXPLAIN actions = 1 {reads}"))
    if hidden := sorted(set(FILTERED.findall(plan))):
        raise SinkError(
            f"ClickHouse at {connection.address}: a row policy hides rows of {', '.join(hidden)} from user "
            f"{connection.address.user!r}, so that counts would be too low",
            "Drop the policy for this user (`SHOW ROW POLICIES`), or give it another user: `pintally users`.",
        )
    _looked[key] = monotonic()
