"""What a ClickHouse user may do."""

from sinks.base import SinkError
from sinks.connection import Connection
from streams.settings import Settings


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
