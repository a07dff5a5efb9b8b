"""The proxies of the drill, with real sockets on both sides."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pintally.tools.drill.proxy import LARGE_BYTES, QUERY, Mode, Proxies, Proxy
from pintally.tools.engines.ports import LOOPBACK, free_port

SMALL, LARGE = b"ask", b"x" * (2 * LARGE_BYTES)
PATIENCE_S = 60.0  # only failures take it


class Echo:
    """An engine that answers `ok` to each piece and remembers what it got."""

    def __init__(self) -> None:
        self.got = b""
        self.answer = b"ok"
        self.connections: list[socket.socket] = []
        self.server = socket.create_server((LOOPBACK, 0))
        self.port: int = self.server.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self._answer, args=(connection,)))
            self.threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1 << 16):
                self.got += data
                connection.sendall(self.answer)
        except OSError:
            return

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    engine = Echo()
    yield engine
    engine.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxies() as proxies:
        made = Proxy(proxies, free_port(), echo.port)
        made.open()
        yield made
        made.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as connection:
        yield connection


def heard(client: socket.socket) -> bytes:
    """What comes next; nothing if the connection was reset or closed."""
    try:
        return client.recv(1 << 16)
    except ConnectionError:
        return b""


def cleanly(end: socket.socket) -> None:
    end.shutdown(socket.SHUT_RDWR)


def with_a_reset(end: socket.socket) -> None:
    """It is sent at once, though the thread of an engine reads from the socket."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.shutdown(socket.SHUT_RD)
    end.close()


def eventually(holds: Callable[[], object]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(holds())


def silent(client: socket.socket, seconds: float = 0.3) -> bool:
    """Whether nothing comes, and the connection stays open."""
    client.settimeout(seconds)
    try:
        return client.recv(1) == b"never"
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_S)


def test_an_open_proxy_forwards_both_ways_and_counts(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    client.sendall(SMALL)
    assert heard(client) == b"ok"
    assert echo.got == SMALL
    assert (proxy.traffic.up, proxy.traffic.down, proxy.traffic.connections) == (len(SMALL), 2, 1)


def test_a_cut_resets_the_connections_that_are_open_and_no_later_one(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(SMALL)
    heard(client)
    assert proxy.cut() == 1
    assert heard(client) == b""
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as next_one:
        next_one.sendall(SMALL)
        assert heard(next_one) == b"ok"


def test_a_proxy_that_refuses_closes_new_connections_and_counts_them(proxy: Proxy) -> None:
    proxy.set(Mode.REFUSE)
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as refused:
        assert heard(refused) == b""
    assert proxy.traffic.refused == 1


def test_a_delay_delivers_everything_later(proxy: Proxy, client: socket.socket) -> None:
    proxy.set(Mode.DELAY)
    began = time.monotonic()
    client.sendall(SMALL)
    assert heard(client) == b"ok"
    assert time.monotonic() - began >= 2 * proxy.delay_seconds, "both ways"
    assert proxy.traffic.delayed == 2


def test_a_half_open_proxy_takes_everything_delivers_nothing_and_never_heals_that_connection(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.failing(Mode.BLACKHOLE):
        client.sendall(SMALL)
        assert eventually(lambda: proxy.traffic.blackholed == len(SMALL))
        assert silent(client)
    assert echo.got == b""
    assert heard(client) == b"", "bytes are missing: it is cut and must be opened anew"


def test_a_half_open_proxy_accepts_new_connections(proxy: Proxy) -> None:
    proxy.set(Mode.BLACKHOLE)
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as fresh:
        fresh.sendall(SMALL)
        assert eventually(lambda: proxy.traffic.blackholed == len(SMALL))
        assert silent(fresh)


def test_a_dropped_response_belongs_to_a_delivered_request(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    with proxy.failing(Mode.DROP_RESPONSES):
        client.sendall(SMALL)
        assert eventually(lambda: proxy.traffic.responses_dropped == 2)
        assert silent(client)
        assert echo.got == SMALL
    assert heard(client) == b""


def test_a_lost_answer_is_that_of_a_large_request_and_the_connection_is_cut_after_it(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.failing(Mode.DROP_RESPONSE_AND_RESET):
        client.sendall(SMALL)
        assert heard(client) == b"ok"
        client.sendall(LARGE)
        assert heard(client) == b""
    assert eventually(lambda: echo.got == SMALL + LARGE), "it was applied"
    assert proxy.traffic.responses_lost == 1


def test_a_held_request_is_delivered_when_the_mode_changes_and_not_before(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.failing(Mode.HOLD_REQUEST):
        client.sendall(SMALL)
        assert heard(client) == b"ok", "small ones pass"
        client.sendall(LARGE)
        assert eventually(lambda: proxy.traffic.held > 0)
        assert silent(client)
        assert LARGE not in echo.got
    assert eventually(lambda: echo.got == SMALL + LARGE)
    assert proxy.traffic.released == proxy.traffic.held


def test_with_a_table_only_inserts_into_it_are_lost(echo: Echo) -> None:
    with Proxies() as proxies:
        proxy = Proxy(proxies, free_port(), echo.port, table="cells")
        proxy.open()
        with (
            socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as client,
            proxy.failing(Mode.DROP_RESPONSE_AND_RESET),
        ):
            for request, answer in (
                (LARGE, b"ok"),
                (b"INSERT INTO ledger (a) VALUES" + LARGE, b"ok"),
                (LARGE, b"ok"),
                (b"INSERT INTO cells (a) VALUES" + LARGE, b"ok"),  # the statement with its settings; rows follow
            ):
                client.sendall(request)
                assert heard(client) == answer
            client.sendall(LARGE)
            assert heard(client) == b"ok", "it tells of progress, and the client waits for it"
            echo.answer = b"done\x05"
            client.sendall(SMALL)
            assert heard(client) == b""
        proxy.close()
    assert proxy.traffic.responses_lost == 1


def test_a_question_that_follows_an_insert_is_none_however_many_settings_go_with_it(echo: Echo) -> None:
    with Proxies() as proxies:
        proxy = Proxy(proxies, free_port(), echo.port, table="cells")
        proxy.open()
        with (
            socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as client,
            proxy.failing(Mode.DROP_RESPONSE_AND_RESET),
        ):
            for request in (b"INSERT INTO cells (a) VALUES", SMALL, QUERY + LARGE):
                echo.answer = b"done\x05"
                client.sendall(request)
                assert heard(client) == b"done\x05"
        proxy.close()
    assert proxy.traffic.responses_lost == 0


def test_of_an_insert_the_last_piece_is_held_so_that_it_is_applied_late_without_its_sender(echo: Echo) -> None:
    with Proxies() as proxies:
        proxy = Proxy(proxies, free_port(), echo.port, table="cells")
        proxy.open()
        with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as client:
            with proxy.failing(Mode.HOLD_REQUEST):
                for request in (b"INSERT INTO cells (a) VALUES", LARGE):
                    client.sendall(request)
                    assert heard(client) == b"ok"
                echo.answer = b"done\x05"
                client.sendall(SMALL)
                assert eventually(lambda: proxy.traffic.held == len(SMALL))
                assert silent(client)
            assert heard(client) == b"done\x05"
        proxy.close()
    assert proxy.traffic.inserts == 1
    assert proxy.traffic.released == len(SMALL)


def test_a_held_request_is_delivered_although_its_sender_has_died(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.failing(Mode.HOLD_REQUEST):
        client.sendall(LARGE)
        assert eventually(lambda: proxy.traffic.held)
        client.close()
    assert eventually(lambda: echo.got == LARGE)


@pytest.mark.parametrize("hang_up", [cleanly, with_a_reset])
def test_a_client_learns_at_once_that_the_engine_is_gone(
    client: socket.socket, echo: Echo, hang_up: Callable[[socket.socket], None]
) -> None:
    client.sendall(SMALL)
    assert heard(client) == b"ok"
    hang_up(echo.connections[-1])
    assert heard(client) == b""


@pytest.mark.parametrize("hang_up", [cleanly, with_a_reset])
def test_the_engine_learns_at_once_that_a_client_is_gone(
    client: socket.socket, echo: Echo, hang_up: Callable[[socket.socket], None]
) -> None:
    client.sendall(SMALL)
    assert heard(client) == b"ok"
    hang_up(client)
    echo.threads[-1].join(PATIENCE_S)
    assert not echo.threads[-1].is_alive()


def test_the_proxy_to_an_engine_that_is_down_closes_the_connection(proxy: Proxy, echo: Echo) -> None:
    echo.server.shutdown(socket.SHUT_RDWR)
    echo.server.close()
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as vain:
        assert heard(vain) == b""
    echo.server = socket.create_server((LOOPBACK, 0))
