"""Checks the rights of a worker in ClickHouse, before it starts to count."""

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.users import users


def refuse_missing_grants(address: ClickHouseAddress) -> None:
    """Raise SinkError with every right that the user lacks, and the statements that grant them.

    Raises SinkUnavailable.
    """
    worker, _ = users(address.database, replicas=bool(address.cluster))
    with Connection(address) as connection:
        missing = [grant for grant in worker.grants if connection.rows(f"CHECK GRANT {grant}") == [(0,)]]
    if missing:
        statements = "; ".join(f"GRANT {grant} TO `{address.user}`" for grant in missing)
        raise SinkError(
            f"ClickHouse at {address} does not let user {address.user!r} count, it lacks: {', '.join(missing)}",
            f"As an administrator of ClickHouse: {statements}. All rights: `pintally users`.",
        )
