"""Kafka's responses straight from the socket into the memory where they are read: one copy, where aiokafka makes five.

aiokafka's way: into uvloop's buffer, into a bytes object, into a bytearray that grows with the response, into a bytes
object of the whole response, into one of each partition. Measured on responses of 12 MiB, 233 bytes an event, the
kernel's work and page faults included: 0.24 to 0.53 us an event; this way 0.05. Larger limits of aiokafka's reader gain
a part of it at best.

`consumer` makes it the connection of its own clients.
"""

import asyncio
import struct
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Any
from weakref import ref

import numpy as np
from aiokafka import conn

FETCH = 1  # the API key of fetches; other responses are short
SHORT = 1 << 16  # bytes: what arrives in one piece with its neighbours and is copied
VIEWED = 1 << 12  # bytes: from here on a part of a response is a view
_LENGTH = struct.Struct(">i")


class Responses(asyncio.BufferedProtocol):
    """The responses on one connection, whole and in order, without the four bytes of their length."""

    def __init__(self, replaced: Any) -> None:
        """`replaced` is the protocol in whose place this one is; the writer goes on asking it."""
        self._replaced = replaced
        self._short = memoryview(bytearray(SHORT))
        self._long: memoryview | None = None  # a response that is arriving, in memory of its own
        self._filled = 0  # bytes of the one or the other
        self._whole: deque[memoryview] = deque()
        self._changed = asyncio.Event()
        self._over: BaseException | None = None

    async def next(self) -> memoryview:
        """The next response. Raises what ended the connection, EOFError if that was its end."""
        while not self._whole:
            if self._over:
                raise self._over
            self._changed.clear()
            await self._changed.wait()
        return self._whole.popleft()

    def get_buffer(self, _size: int) -> memoryview:
        """Where the socket writes next."""
        return (self._short if self._long is None else self._long)[self._filled :]

    def buffer_updated(self, received: int) -> None:
        """The socket has written so many bytes."""
        self._filled += received
        if self._long is None:
            self._take_short()
        elif self._filled == len(self._long):
            self._add(self._long)
            self._long, self._filled = None, 0

    def _take_short(self) -> None:
        at = 0
        while self._filled - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._short, at)
            if size < 0:
                raise ValueError(f"a response of {size} bytes")
            begin, end = at + _LENGTH.size, at + _LENGTH.size + size
            if size > SHORT - _LENGTH.size:
                self._begin_long(size, self._short[begin : self._filled])
                return
            if end > self._filled:
                break
            self._add(memoryview(bytes(self._short[begin:end])))
            at = end
        rest = bytes(self._short[at : self._filled])
        self._short[: len(rest)] = rest
        self._filled = len(rest)

    def _begin_long(self, size: int, beginning: memoryview) -> None:
        self._long = np.empty(size, np.uint8).data  # a bytearray would be filled with zeros first
        self._long[: len(beginning)] = beginning
        self._filled = len(beginning)

    def _add(self, response: memoryview) -> None:
        self._whole.append(response)
        self._changed.set()

    def eof_received(self) -> bool | None:
        """The broker closed the connection."""
        self._end(EOFError("the connection was closed"))
        kept_open: bool | None = self._replaced.eof_received()
        return kept_open

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        self._end(error or EOFError("the connection was closed"))
        self._replaced.connection_lost(error)

    def _end(self, error: BaseException) -> None:
        self._over = self._over or error
        self._changed.set()

    def pause_writing(self) -> None:
        """Too much waits to be sent."""
        self._replaced.pause_writing()

    def resume_writing(self) -> None:
        """It was sent."""
        self._replaced.resume_writing()


class Response:
    """A response to be decoded: read like a BytesIO, but what is long is a view of it."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes | memoryview:
        """The next `size` bytes, or as many as there are."""
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part if len(part) >= VIEWED else bytes(part)


class Connection(conn.AIOKafkaConnection):
    """aiokafka's connection to a broker, with another way to read from it."""

    def _create_reader_task(self) -> Any:
        self._responses = Responses(self._protocol)
        self._writer.transport.set_protocol(self._responses)
        return super()._create_reader_task()

    @staticmethod
    async def _read(connection: "ref[Connection]") -> None:
        """As aiokafka's: holds no reference while it waits, and what it raises closes the connection."""
        this = connection()
        if this is None:
            return
        responses = this._responses
        while True:
            del this
            response = await responses.next()
            this = connection()
            if this is None:
                return
            this._handle_frame(response)

    def _handle_frame(self, response: memoryview) -> None:
        correlation_id, request, answer = self._requests[0]
        data = Response(response)
        if (
            correlation_id is None  # a step of a login
            or request.API_KEY != FETCH
            or request.parse_response_header(data).correlation_id != correlation_id
            or answer.done()  # nobody waits any more
        ):
            super()._handle_frame(bytes(response))
            return
        answer.set_result(request.RESPONSE_TYPE.decode(data))
        self._last_action = monotonic()
        self._requests.popleft()


async def try_login(host: str, port: int, **options: Any) -> None:
    """Connect, log in and close. Raises what the broker says against it, which kafka-python does not hear."""
    connection = await conn.create_conn(host, port, **options)
    writer = connection._writer
    connection.close()
    with suppress(OSError):
        await writer.wait_closed()  # else its socket outlives the loop
