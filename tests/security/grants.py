"""What a ClickHouse user may do."""

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.settings import Settings


def allowed(settings: Settings, sql: str) -> bool:
    """Whether the ClickHouse user of the settings may run a statement. Raises what fails for another reason."""
    with Connection(settings.clickhouse, 30) as connection:
        try:
            connection.execute(sql)
        except SinkError as error:
            if "Not enough privileges" not in error.what:
                raise
            return False
        return True
