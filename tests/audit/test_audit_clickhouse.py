"""The HTTP client of the audit against a server that hangs up on idle connections, as ClickHouse does after a while."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from pintally.audit.addresses import Addresses
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTellNow

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'  # says nothing of closing


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that answers one question a connection and then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    yield listener.getsockname()[1]
    listener.close()


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure() -> None:
    with answering(ANSWER) as port, ClickHouse(Addresses("127.0.0.1:1", (), clickhouse_http_port=port)) as clickhouse:
        assert clickhouse.rows("SELECT 1 AS a") == [{"a": 1}]
        assert clickhouse.rows("SELECT 1 AS a") == [{"a": 1}]


@pytest.mark.parametrize("ends", [b"", b"\n"])
def test_an_answer_that_ends_before_its_length_is_none(ends: bytes) -> None:
    """A gateway may announce a length and lose the server before it has sent as much: rows would be missing."""
    announced = ANSWER.replace(b": 7", b": 700") + ends
    with (
        answering(announced) as port,
        ClickHouse(Addresses("127.0.0.1:1", (), clickhouse_http_port=port)) as clickhouse,
        pytest.raises(CannotTellNow, match="IncompleteRead"),
    ):
        clickhouse.rows("SELECT a FROM t")
