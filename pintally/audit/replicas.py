"""Reads on replicas: all of one check from one server, which has fetched what it reads.

Queues of tables are independent: a ledger row may be here before its cells. So after the ledger is read, and before
cells are, each table must have been in step once.
"""

from time import monotonic, sleep

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTellNow

WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.1
# How long a table that has pulled nothing is given, in case its very first entry is on the way.
FIRST_SECONDS = 2.0
# In step: it knows every entry of the log, and has no part left to fetch. A table into which nothing was ever inserted
# looks like one that has not heard of its first entry yet: 0 and 0. So does one that has lost Keeper, without replicas.
LAGGING = """
SELECT table, log_pointer = 0 AND inserts_in_queue = 0 AND total_replicas > 0 AND NOT is_readonly AS may_be_empty
FROM system.replicas
WHERE database = currentDatabase() AND (log_pointer <= log_max_index OR inserts_in_queue > 0)
"""
REPLICATED = "SELECT table FROM system.replicas WHERE database = currentDatabase()"


def await_rows(clickhouse: ClickHouse, *, replicas: bool) -> None:
    """Wait until each table of this server has had all rows that others had when this was called.

    Nothing is asked where there are no replicas. Raises CannotTellNow if it stays behind.
    """
    if not replicas:
        return
    left = {row["table"] for row in clickhouse.rows(REPLICATED)}
    began = monotonic()
    while left := left & _lagging(clickhouse, monotonic() - began):
        if monotonic() - began > WAIT_SECONDS:
            raise CannotTellNow(
                f"{clickhouse} lags behind other replicas, after {WAIT_SECONDS:.0f} s: {', '.join(sorted(left))}",
                "Try again, or set PINTALLY_CLICKHOUSE_HOST to another replica.",
            )
        sleep(PAUSE_SECONDS)


def _lagging(clickhouse: ClickHouse, waited: float) -> set[str]:
    """The tables that are not in step after so many seconds."""
    rows = clickhouse.rows(LAGGING)
    return {row["table"] for row in rows if not (row["may_be_empty"] and waited > FIRST_SECONDS)}
