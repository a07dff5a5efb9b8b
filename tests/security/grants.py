"""What a ClickHouse user may do."""

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dictionary import every_view
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


def one_row(name: str) -> str:
    """A statement that reads a row of a table or a view."""
    return f"SELECT * FROM {called(name)} LIMIT 1"


def called(name: str) -> str:
    """What stands after FROM: a view with parameters is given the present for each."""
    needs = every_view()[name].parameters if name in every_view() else ()
    return f"{name}({', '.join(f'{parameter} = now()' for parameter, _ in needs)})" if needs else name
