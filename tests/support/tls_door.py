"""A door with TLS before a server without it: the local ClickHouse can listen on plain ports only."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path


@contextlib.contextmanager
def tls_doors(ports: Mapping[int, int], certificate: Path, key: Path) -> Iterator[None]:
    """Listen with TLS on loopback, port -> the plain port behind it, until the end of the block."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    listening, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(_serve(ports, context, listening, over),), name="TLS doors")
    thread.start()
    try:
        assert listening.wait(10)
        yield
    finally:
        over.set()
        thread.join()


async def _serve(
    ports: Mapping[int, int], context: ssl.SSLContext, listening: threading.Event, over: threading.Event
) -> None:
    servers = [
        await asyncio.start_server(_door(behind), "127.0.0.1", port, ssl=context) for port, behind in ports.items()
    ]
    listening.set()
    while not over.is_set():
        await asyncio.sleep(0.05)
    for server in servers:
        server.close()


def _door(behind: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def guide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside_reader, inside_writer = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(_pass(reader, inside_writer), _pass(inside_reader, writer))

    return guide


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
