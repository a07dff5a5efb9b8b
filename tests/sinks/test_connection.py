"""A connection to ClickHouse that had an error is over, and says what is wrong without saying the password."""

import socket

import pytest
from pydantic import SecretStr

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSession, ClickHouseSink
from pintally.streams.settings import Settings

SECRET = "do-not-show-me"


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


def test_a_session_whose_socket_broke_stays_broken_though_the_server_is_there(address: ClickHouseAddress) -> None:
    with Connection(address, 5) as connection:
        session = ClickHouseSession(connection)
        connection._client.connection.socket.shutdown(socket.SHUT_RDWR)
        for _ in range(3):
            with pytest.raises(SinkUnavailable):
                session.read_back([]) or connection.rows("SELECT 1")
    with Connection(address, 5) as connection:
        assert connection.rows("SELECT 1") == [(1,)]


def test_a_session_that_the_server_refused_once_stays_broken(address: ClickHouseAddress) -> None:
    with Connection(address, 5) as connection:
        with pytest.raises(SinkUnavailable):
            connection.rows("SELECT throwIf(1)")
        with pytest.raises(SinkUnavailable, match="over"):
            connection.rows("SELECT 1")


def test_nobody_there_is_unavailable(address: ClickHouseAddress) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = address.model_copy(update={"port": closed.getsockname()[1]})
        with pytest.raises(SinkUnavailable, match="does not answer"), ClickHouseSink(nobody, 2).session():
            pass


def test_a_server_that_never_answers_is_unavailable_in_time(address: ClickHouseAddress) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        nobody = address.model_copy(update={"port": silent.getsockname()[1]})
        with pytest.raises(SinkUnavailable), ClickHouseSink(nobody, 0.5).session():
            pass


def test_a_wrong_password_is_refused_for_good_and_not_shown(address: ClickHouseAddress) -> None:
    wrong = address.model_copy(update={"user": "nobody", "password": SecretStr(SECRET)})
    with pytest.raises(SinkError) as refused, ClickHouseSink(wrong, 5).session():
        pass
    assert not isinstance(refused.value, SinkUnavailable)
    assert "'nobody'" in str(refused.value)
    assert SECRET not in str(refused.value) + repr(refused.value) + repr(wrong)


def test_a_missing_database_or_table_or_column_names_the_remedy(address: ClickHouseAddress) -> None:
    missing = address.model_copy(update={"database": f"{address.database}_missing"})
    with (
        pytest.raises(SinkError, match="pintally migrate") as no_database,
        ClickHouseSink(missing, 5).session() as session,
    ):
        session.connection.rows("SELECT 1")
    assert not isinstance(no_database.value, SinkUnavailable)
    for query in ("SELECT * FROM no_such_table", "SELECT no_such_column FROM pin_minutes"):
        with Connection(address, 5) as connection:
            with pytest.raises(SinkError, match="pintally migrate") as refused:
                connection.rows(query)
            assert not isinstance(refused.value, SinkUnavailable)
