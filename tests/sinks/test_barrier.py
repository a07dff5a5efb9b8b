"""The barrier: nothing on one server, one statement a table on replicas, and what does not hold is refused by name.

The local engine has no Keeper. So what needs it is answered here, at the connection, in its place.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_driver.errors import ServerException

from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.barrier import QUEUES, SpreadSession, sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.errors import translate
from pintally.streams.settings import Settings


class Asked:
    """The statements of a connection. Some are answered here, the rest by the server."""

    def __init__(self, connection: Connection, answers: dict[str, Any]) -> None:
        self.statements: list[str] = []
        self.settings: list[object] = []
        self._execute = connection.execute
        self._answers = answers
        connection.execute = self  # type: ignore[method-assign]  # until it is closed

    def __call__(self, sql: str, *args: Any, **kwargs: Any) -> Any:
        self.statements.append(sql)
        self.settings.append(kwargs.get("settings"))
        for begins, answer in self._answers.items():
            if sql.startswith(begins):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return self._execute(sql, *args, **kwargs)

    @property
    def syncs(self) -> list[str]:
        return [sql for sql in self.statements if sql.startswith("SYSTEM SYNC")]


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    address = settings.clickhouse.model_copy(update={"cluster": "counts"})
    with Connection(address, 30, database="default") as opened:
        yield opened


def replicated(*tables: str) -> dict[str, Any]:
    return {QUEUES: [(table,) for table in tables], "SYSTEM SYNC": []}


def test_on_one_server_nothing_is_asked(settings: Settings) -> None:
    with Connection(settings.clickhouse, 30, database="default") as connection:
        asked = Asked(connection, {})
        sync(connection, "pin_minutes", "sealed")
        assert asked.statements == []


def test_who_only_reads_waits_for_nothing(settings: Settings) -> None:
    address = settings.clickhouse.model_copy(update={"cluster": "counts"})
    with Connection(address, 30, database="default", only_reads=True) as connection:
        asked = Asked(connection, {})
        sync(connection, "pin_minutes")
        assert asked.statements == []


def test_each_table_with_a_queue_is_waited_for_in_order_and_no_other(connection: Connection) -> None:
    asked = Asked(connection, replicated("sealed", "pin_minutes"))
    sync(connection, "pin_minutes", "plain", "sealed")
    assert asked.syncs == [f"SYSTEM SYNC REPLICA {table} LIGHTWEIGHT" for table in ("pin_minutes", "sealed")]
    assert asked.settings[asked.statements.index(asked.syncs[0])] == {"receive_timeout": 20}


def test_tables_of_the_local_engine_have_no_queue(connection: Connection) -> None:
    asked = Asked(connection, {})
    sync(connection, "pin_minutes")
    assert asked.syncs == []
    assert QUEUES in asked.statements


def test_a_server_that_stays_behind_is_named_with_its_table(connection: Connection) -> None:
    late = translate(ServerException("DB::Exception: SYNC REPLICA: timed out", 159), connection.address)
    late.__cause__ = ServerException("", 159)
    Asked(connection, {**replicated("pin_minutes"), "SYSTEM SYNC": late})
    with pytest.raises(SinkUnavailable, match="lacks rows of pin_minutes") as refused:
        sync(connection, "pin_minutes")
    assert "system.replication_queue" in refused.value.remedy


def test_another_error_of_the_barrier_is_said_as_it_is(connection: Connection) -> None:
    keeper = translate(ServerException("DB::Exception: Session expired", 999), connection.address)
    keeper.__cause__ = ServerException("", 999)
    Asked(connection, {**replicated("pin_minutes"), "SYSTEM SYNC": keeper})
    with pytest.raises(SinkUnavailable, match="999"):
        sync(connection, "pin_minutes")


def test_a_connection_that_two_servers_answer_is_refused(connection: Connection) -> None:
    asked = Asked(connection, replicated("pin_minutes"))
    sync(connection, "pin_minutes")
    sync(connection, "pin_minutes")
    asked._answers["SELECT hostName()"] = [("another", 9000, "00000000-0000-0000-0000-000000000000")]
    with pytest.raises(SpreadSession, match="another") as refused:
        sync(connection, "pin_minutes")
    assert "balancer of TCP connections" in refused.value.remedy
    assert len(asked.syncs) == 2
    with pytest.raises(SinkUnavailable, match="over"):
        Connection.execute(connection, "SELECT 1")
