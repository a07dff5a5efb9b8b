"""A fault proxy: TCP between a worker and one engine, which can fail as networks do."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from pintally.sinks.clickhouse.pins import LIMITS, READS, WRITES
from pintally.tools.engines.ports import LOOPBACK

READ_BYTES = 1 << 16
ROWS_BYTES = 1_500  # what follows a statement and has so many bytes is rows
SETTINGS_BYTES = sum(len(name) + len(value) + 3 for name, value in {**READS, **WRITES, **LIMITS}.items())
LARGE_BYTES = ROWS_BYTES + SETTINGS_BYTES  # a request of so many since the last answer is no mere question
STATEMENT = b"INSERT INTO "  # how ClickHouse's clients write; the native protocol carries it as text
QUERY = b"\x01\x00\x01\x00\x00"  # how a statement of theirs begins: packet 1, no id, and nobody asked before
END_OF_STREAM = b"\x05"  # the last packet of ClickHouse's answer; its client waits for what comes before it
APPLIED_SECONDS = 0.5  # between a lost answer and the cut

T = TypeVar("T")


class Mode(Enum):
    """What a proxy does with the bytes that come."""

    PASS = "forward everything"
    REFUSE = "close each new connection at once"
    DELAY = "forward after a while"
    BLACKHOLE = "accept, and forward nothing either way: half-open"
    DROP_RESPONSES = "forward requests, drop answers"
    DROP_RESPONSE_AND_RESET = "drop the answer to a large request, then cut: it is applied and nobody knows"
    HOLD_REQUEST = "keep a large request back until the mode changes, then deliver it, whatever its sender does by then"


@dataclass(slots=True)
class Traffic:
    """What a proxy has done so far."""

    connections: int = 0
    refused: int = 0
    cut: int = 0
    up: int = 0  # bytes from clients that were forwarded
    down: int = 0  # bytes to clients that were forwarded
    delayed: int = 0  # pieces
    blackholed: int = 0  # bytes of either way, gone
    responses_dropped: int = 0  # bytes of answers, gone
    inserts: int = 0  # large ones that ClickHouse has done, and said so
    responses_lost: int = 0  # large requests that were delivered and whose answer is gone
    held: int = 0  # bytes of requests kept back
    released: int = 0  # bytes of those that were delivered later


@dataclass(eq=False, slots=True)
class Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    engine: asyncio.StreamWriter
    asked: int = 0  # bytes from the client since the engine's last answer
    chosen: bool = False  # its requests now are those that DROP_RESPONSE_AND_RESET and HOLD_REQUEST are for
    loaded: bool = False  # and a large one is on its way
    broken: bool = False  # bytes of it are gone: it cannot go on
    pumps: list["asyncio.Task[None]"] = field(default_factory=list)

    def cut(self) -> None:
        """Both ends get a reset."""
        self.broken = True
        for writer in (self.client, self.engine):
            writer.transport.abort()
        for pump in self.pumps:
            pump.cancel()


class Proxies:
    """The thread in which all proxies run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)

    def __enter__(self) -> "Proxies":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread of the proxies and wait for it."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(30)

    async def _end_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Proxy:
    """Listens on `port` and forwards to `target`, both on loopback. Methods may be called from any thread.

    DROP_RESPONSE_AND_RESET and HOLD_REQUEST are for inserts into `table` if one is given, else for each large request.
    """

    def __init__(self, proxies: Proxies, port: int, target: int, table: str | None = None) -> None:
        self._insert = STATEMENT + table.encode() + b" " if table else b""
        self.port = port
        self.target = target
        self.mode = Mode.PASS
        self.delay_seconds = 0.3
        self.traffic = Traffic()
        self._proxies = proxies
        self._links: set[Link] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    def open(self) -> None:
        """Begin to listen."""
        self._server = self._proxies.run(asyncio.start_server(self._accept, LOOPBACK, self.port))

    def close(self) -> None:
        """Stop listening and cut all."""

        async def end() -> None:
            assert self._server
            self._server.close()
            self._cut(lambda _link: True)

        self._proxies.run(end())

    def set(self, mode: Mode) -> None:
        """Change the mode, for open connections too; those that lost bytes are cut."""

        async def change() -> None:
            self.mode = mode
            self._changed.set()
            self._changed = asyncio.Event()
            self._cut(lambda link: link.broken)

        self._proxies.run(change())

    def cut(self) -> int:
        """Cut every connection; how many there were."""

        async def end() -> int:
            return self._cut(lambda _link: True)

        return self._proxies.run(end())

    @contextmanager
    def failing(self, mode: Mode) -> Iterator[Traffic]:
        """The mode until the end of the block; gives what the proxy counts."""
        self.set(mode)
        try:
            yield self.traffic
        finally:
            self.set(Mode.PASS)

    def _cut(self, chosen: Callable[[Link], bool]) -> int:
        links = [link for link in self._links if chosen(link)]
        for link in links:
            link.cut()
        self.traffic.cut += len(links)
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        if self.mode is Mode.REFUSE:
            self.traffic.refused += 1
            writer.transport.abort()
            return
        try:
            engine_reader, engine = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, engine, chosen=not self._insert)
        self._links.add(link)
        link.pumps = [
            asyncio.ensure_future(self._pump(link, reader, engine, self._request)),
            asyncio.ensure_future(self._pump(link, engine_reader, writer, self._answer)),
        ]
        try:
            await asyncio.wait(link.pumps)
        finally:
            self._links.discard(link)
            for pump in link.pumps:
                pump.cancel()
            for end in (writer, engine):
                end.close()

    async def _pump(
        self,
        link: Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        judge: Callable[[Link, bytes], Coroutine[Any, Any, bool]],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(READ_BYTES):
                if await judge(link, data):
                    sink.write(data)
                    await sink.drain()
        if not link.broken:  # also after a reset: the other end must not wait for what will never come
            sink.write_eof()

    async def _request(self, link: Link, data: bytes) -> bool:
        """Whether bytes of a client go on to the engine."""
        link.asked += len(data)
        if self._insert and (STATEMENT in data or data.startswith(QUERY)):
            link.chosen = self._insert in data
            link.asked = 0  # the rows follow when the engine has answered to the statement
            link.loaded = False
        # Of an insert the last, small piece is held: with it ClickHouse takes the rows that it has.
        ends = not self._insert or (link.loaded and len(data) < ROWS_BYTES)
        link.loaded |= link.chosen and link.asked >= (ROWS_BYTES if self._insert else LARGE_BYTES)
        if self.mode is Mode.HOLD_REQUEST and link.loaded and ends:
            self.traffic.held += len(data)
            await self._changed.wait()
            self.traffic.released += len(data)
        if not await self._either_way(link, data):
            return False
        self.traffic.up += len(data)
        return True

    async def _answer(self, link: Link, data: bytes) -> bool:
        """Whether bytes of the engine go on to the client."""
        ends = not self._insert or data.endswith(END_OF_STREAM)
        if self.mode is Mode.DROP_RESPONSE_AND_RESET and link.loaded and ends:
            link.broken, link.loaded = True, False
            self.traffic.responses_lost += 1
            asyncio.get_running_loop().call_later(APPLIED_SECONDS, self._cut_one, link)
        if link.loaded and data.endswith(END_OF_STREAM):
            link.loaded = False
            self.traffic.inserts += 1
        if self.mode is Mode.DROP_RESPONSES or (link.broken and self.mode is not Mode.BLACKHOLE):
            self.traffic.responses_dropped += len(data)
            link.broken = True
            return False
        if not await self._either_way(link, data):
            return False
        link.asked = 0
        self.traffic.down += len(data)
        return True

    async def _either_way(self, link: Link, data: bytes) -> bool:
        if self.mode is Mode.DELAY:
            self.traffic.delayed += 1
            await asyncio.sleep(self.delay_seconds)
        if self.mode is Mode.BLACKHOLE:
            self.traffic.blackholed += len(data)
            link.broken = True
            return False
        return True

    def _cut_one(self, link: Link) -> None:
        if link in self._links:
            self.traffic.cut += 1
            link.cut()
