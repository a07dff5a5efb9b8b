"""The server: it answers its routes, says errors in our words and stops soon; a bad address is refused at once."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from pintally.streams.http.listening import AddressRefused, Listening, listen
from pintally.streams.http.server import serving

Ask = Callable[[str], Awaitable[tuple[int, str]]]


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def broken(_: web.Request) -> web.Response:
    raise ZeroDivisionError("nobody foresaw this")


async def endless(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


ROUTES = {"/hello": hello, "/broken": broken, "/endless": endless}


def run(work: Callable[[Listening, Ask], Awaitable[None]]) -> None:
    """With a server, and a client that returns status and text."""

    async def both() -> None:
        listening = listen("127.0.0.1", 0, "PINTALLY_METRICS")
        async with aiohttp.ClientSession() as session:

            async def ask(path: str) -> tuple[int, str]:
                async with session.get(f"{listening.url}{path}") as answer:
                    return answer.status, await answer.text()

            try:
                await work(listening, ask)
            finally:
                listening.close()

    asyncio.run(both())


def test_it_answers_its_routes_and_says_errors_in_one_line_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def work(listening: Listening, ask: Ask) -> None:
        async with serving(listening, ROUTES):
            assert await ask("/hello") == (200, "hello")
            assert await ask("/none") == (404, "error: nothing is at /none\n")
            assert await ask("/broken") == (500, "error: an error that nobody foresaw; the log has it\n")

    run(work)
    assert [record.message for record in caplog.records] == ["GET /broken: an error that nobody foresaw"]


def test_only_get_is_answered() -> None:
    async def work(listening: Listening, _: Ask) -> None:
        url = f"{listening.url}/hello"
        async with serving(listening, ROUTES), aiohttp.ClientSession() as session, session.post(url) as answer:
            assert (answer.status, await answer.text()) == (405, "error: POST is not possible here; use GET\n")
            assert answer.headers["Allow"] == "GET,HEAD"

    run(work)


def test_it_stops_soon_while_an_answer_is_under_way() -> None:
    async def work(listening: Listening, ask: Ask) -> None:
        began = asyncio.Event()

        async def wait(_: web.Request) -> web.Response:
            began.set()
            await asyncio.sleep(3600)
            return web.Response()

        async with serving(listening, {"/wait": wait}):
            asked = asyncio.ensure_future(ask("/wait"))
            await began.wait()
            start = time.monotonic()
        assert time.monotonic() - start < 30
        listening.close()  # a client tries once more
        with pytest.raises(aiohttp.ClientError):
            await asked

    run(work)


def test_who_connects_between_two_servers_of_one_socket_is_answered_by_the_second() -> None:
    """A worker serves the same socket while it waits for Kafka and while it counts."""

    async def work(listening: Listening, ask: Ask) -> None:
        async with serving(listening, {}):
            assert (await ask("/hello"))[0] == 404
        asked = asyncio.ensure_future(ask("/hello"))
        await asyncio.sleep(0)
        async with serving(listening, ROUTES):
            assert await asked == (200, "hello")

    run(work)


def test_middlewares_see_every_answer_errors_too() -> None:
    seen: list[int] = []

    async def watch(
        request: web.Request, route: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        answer = await route(request)
        seen.append(answer.status)
        return answer

    async def work(listening: Listening, ask: Ask) -> None:
        async with serving(listening, ROUTES, watch):
            for path in ("/hello", "/none", "/broken"):
                await ask(path)

    run(work)
    assert seen == [200, 404, 500]


def test_an_address_that_another_process_has_is_refused_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressRefused) as refused:
            listen("127.0.0.1", port, "PINTALLY_METRICS")
    assert refused.value.what == f"127.0.0.1:{port} cannot be listened on: another process listens there"
    assert "PINTALLY_METRICS_PORT" in refused.value.remedy


@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "no interface of this machine"), ("no such host", "no address has this name")],
)
def test_an_address_that_is_not_ours_is_refused_with_the_remedy(host: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why) as refused:
        listen(host, 0, "PINTALLY_METRICS")
    assert "PINTALLY_METRICS_HOST" in refused.value.remedy


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        listening = listen("::1", 0, "PINTALLY_METRICS")
    except AddressRefused:
        pytest.skip("this machine has no IPv6 loopback")
    assert listening.target == f"[::1]:{listening.port}"
    listening.close()
