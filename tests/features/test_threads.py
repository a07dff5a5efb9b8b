"""Threads that share a reader, as those of a server of features do: none reads the answer of another one."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pintally.features import ClickHouseAddress
from pintally.features.servers import Servers
from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.connection import Connection

pytestmark = pytest.mark.xdist_group("features")


def test_who_asks_while_another_thread_does_has_a_connection_of_his_own_and_one_is_kept(
    known: ClickHouseAddress,
) -> None:
    servers, asking, used = Servers((known,)), Barrier(3), list[Connection]()

    def question(connection: Connection, number: int) -> int:
        used.append(connection)
        asking.wait(30)
        return int(connection.one("SELECT %(number)s", number=number)[0])

    def ask(number: int) -> int:
        return servers.ask(0, lambda connection: question(connection, number))

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, range(3))) == [0, 1, 2]
    assert sum(map(is_open, used)) == 1, "the others are closed"
    assert servers.ask(0, is_open)
    servers.close()
    assert not any(map(is_open, used))


def is_open(connection: Connection) -> bool:
    """Whether it answers."""
    try:
        return bool(connection.one("SELECT 1"))
    except SinkUnavailable:
        return False
