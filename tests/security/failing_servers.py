"""Servers and proxies that fail in one way each, on ports of their own, in one thread."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping

from pintally.tools.engines.ports import LOOPBACK

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GARBAGE = bytes(range(255, 0, -1)) * 8
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nNo.\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, take everything, and never answer."""
    while await reader.read(1 << 16):
        pass


def answering(answer: bytes) -> Serve:
    """Answer the first request with these bytes, and hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1 << 16):
            writer.write(answer)
            await writer.drain()

    return serve


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the first request and reset the connection."""
    await reader.read(1 << 16)
    _reset(writer)


def cutting(target: int, after: int, end: str) -> Serve:
    """Forward to a port of loopback; after so many bytes of its answers, `end`: "reset", "end" or "hang"."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(LOOPBACK, target)
        requests = asyncio.ensure_future(_pass(reader, outer))
        left = after
        try:
            while left and (data := await inner.read(1 << 16)):
                writer.write(data[:left])
                left -= min(left, len(data))
                await writer.drain()
            if end == "hang" and not left:
                await asyncio.Event().wait()
            elif end == "reset" and not left:
                _reset(writer)
        finally:
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)
            outer.close()

    return serve


@contextlib.contextmanager
def listening(servers: Mapping[int, Serve]) -> Iterator[None]:
    """Serve on loopback, port -> what it does, until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="failing servers", daemon=True)
    thread.start()

    opened: list[asyncio.Server] = []

    async def begin() -> None:
        for port, serve in servers.items():
            opened.append(await asyncio.start_server(_quietly(serve), LOOPBACK, port))

    async def end() -> None:
        for server in opened:
            server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)  # until what was closed is

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _quietly(serve: Serve) -> Serve:
    running: set[asyncio.Task[None] | None] = set()  # who waits for nothing is collected, unless it is held

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        running.discard(asyncio.current_task())

    return quiet


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
