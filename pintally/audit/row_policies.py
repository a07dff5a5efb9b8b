"""Row policies hide rows from a user without an error. Hidden rows would look like missing rows."""

import re
from collections.abc import Sequence

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell

TABLES = (
    *(aggregate.table for aggregate in AGGREGATES),
    "pin_hours",
    "pin_days",
    "pin_hour_breakdowns",
    "pin_day_breakdowns",
    "experiment_hours",
    "sealed",
    "pin_user_states",
    "pin_hour_users",
    "pin_day_users",
    "user_seals",
    "arm_day_users",
    "arm_day_seals",
    "pin_tiles",
    "pin_hours_by_pin",
    "pin_corrections",
    "pin_base",
    "hour_tops",
    "tile_tops",
    "feature_seals",
    "cuts",
    "ingest_starts",
    "ingest_ledger",
    "ingest_lost",
    "ingest_replaced",
    "dead_letters",
)
FILTERED = re.compile(r"ReadFromMergeTree \(\S+?\.(\w+)\)(?:(?!ReadFrom).)*?Row level filter", re.DOTALL)


def refuse_hidden_rows(clickhouse: ClickHouse, user: str, tables: Sequence[str] = TABLES) -> None:
    """Raise CannotTell if a row policy filters one of the tables for this user, by the plan of a query."""
    reads = " UNION ALL ".join(f"SELECT 1 FROM {table}" for table in tables)
    rows = clickhouse.rows(f"EXPLAIN actions = 1 {reads}")
    plan = "\n".join(str(row["explain"]) for row in rows)
    if hidden := sorted(set(FILTERED.findall(plan))):
        raise CannotTell(
            f"a row policy of ClickHouse hides rows of {', '.join(hidden)} from user {user!r}",
            "Drop the policy for this user (`SHOW ROW POLICIES`), or use another user.",
        )
