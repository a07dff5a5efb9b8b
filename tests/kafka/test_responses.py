"""Responses come out of a connection whole and in order, however the network cuts them."""

import asyncio
import ssl
import struct
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
import uvloop
from aiokafka import conn
from aiokafka.protocol.fetch import FetchRequest_v4, FetchResponse_v4
from aiokafka.protocol.metadata import MetadataResponse_v0
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.streams.kafka.fetching.connection import SHORT, VIEWED, Connection, Response, Responses

sizes = st.one_of(
    st.integers(0, 40), st.sampled_from([SHORT - 5, SHORT - 4, SHORT - 3, SHORT, SHORT + 1, 3 * SHORT + 7])
)


def framed(bodies: list[bytes]) -> bytes:
    return b"".join(struct.pack(">i", len(body)) + body for body in bodies)


def body_of(number: int, size: int) -> bytes:
    return bytes((number * 31 + at) % 251 for at in range(min(size, 251))) * (size // 251 + 1)


class Replaced:
    """Stands for aiokafka's protocol, which is told what is not data."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.told.append(name)


def feed(responses: Responses, data: bytes, cuts: list[int]) -> None:
    """As an event loop does: into the buffer that is given, as much as the network has."""
    at, cut = 0, 0
    while at < len(data):
        buffer = responses.get_buffer(-1)
        assert len(buffer) > 0
        take = min(len(buffer), len(data) - at, cuts[cut % len(cuts)])
        buffer[:take] = data[at : at + take]
        responses.buffer_updated(take)
        at, cut = at + take, cut + 1


@settings(deadline=None)
@given(st.lists(sizes, max_size=6), st.lists(st.integers(1, 100_000), min_size=1, max_size=5))
def test_any_cut_of_the_stream_gives_the_same_responses(lengths: list[int], cuts: list[int]) -> None:
    bodies = [body_of(number, size)[:size] for number, size in enumerate(lengths)]
    if sum(lengths) > 1000:
        cuts = [max(cut, 50) for cut in cuts]

    async def received() -> list[bytes]:
        responses = Responses(Replaced())
        feed(responses, framed(bodies), cuts)
        return [bytes(await responses.next()) for _ in bodies]

    assert asyncio.run(received()) == bodies


def test_what_was_received_before_the_end_is_still_had() -> None:
    async def received() -> None:
        replaced = Replaced()
        responses = Responses(replaced)
        feed(responses, framed([b"one"]) + b"\0\0\0\5tw", [7])
        responses.connection_lost(None)
        assert bytes(await responses.next()) == b"one"
        with pytest.raises(EOFError):
            await responses.next()
        assert replaced.told == ["connection_lost"]

    asyncio.run(received())


def test_an_error_ends_the_wait_for_a_response() -> None:
    async def received() -> None:
        responses = Responses(Replaced())
        waiting = asyncio.ensure_future(responses.next())
        await asyncio.sleep(0)
        responses.connection_lost(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError, match="gone"):
            await waiting

    asyncio.run(received())


def test_a_length_that_cannot_be_is_refused() -> None:
    async def received() -> None:
        with pytest.raises(ValueError, match="-1 bytes"):
            feed(Responses(Replaced()), struct.pack(">i", -1), [4])

    asyncio.run(received())


@given(st.binary(max_size=300), st.lists(st.integers(0, 100), max_size=12))
def test_a_response_is_read_like_a_file(data: bytes, reads: list[int]) -> None:
    ours, theirs = Response(memoryview(data)), BytesIO(data)
    assert [ours.read(size) for size in reads] == [theirs.read(size) for size in reads]


def fetch_response(correlation_id: int, records: bytes) -> bytes:
    response: bytes = FetchResponse_v4(0, [("topic", [(0, 0, 9, 9, [], records)])]).encode()
    return struct.pack(">i", correlation_id) + response


async def answered(connection: Any, request: Any, frame: bytes) -> Any:
    answer = asyncio.get_running_loop().create_future()
    connection._requests.append((7, request, answer))
    connection._handle_frame(memoryview(frame))
    return await answer


def test_long_records_of_a_fetch_are_a_view_and_all_else_is_as_aiokafka_has_it() -> None:
    async def fetched() -> None:
        connection = Connection("localhost", 1)
        for size in (0, VIEWED - 1, VIEWED, 5 * SHORT):
            frame = fetch_response(7, bytes(size))
            found = await answered(connection, FetchRequest_v4(-1, 0, 0, 0, 0, []), frame)
            expected = FetchResponse_v4.decode(frame[4:])
            assert found == expected
            assert isinstance(found.topics[0][1][0][-1], memoryview) == (size >= VIEWED)
        assert not connection._requests

    asyncio.run(fetched())


def test_other_responses_are_bytes_throughout() -> None:
    async def asked() -> None:
        connection = Connection("localhost", 1)
        name = "x" * (2 * VIEWED)
        request = SimpleNamespace(
            API_KEY=3,
            RESPONSE_TYPE=MetadataResponse_v0,
            parse_response_header=lambda data: SimpleNamespace(correlation_id=struct.unpack(">i", data.read(4))[0]),
        )
        frame = struct.pack(">i", 7) + MetadataResponse_v0([(1, name, 9092)], []).encode()
        assert (await answered(connection, request, frame)).brokers == [(1, name, 9092)]

    asyncio.run(asked())


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_responses_arrive_over_a_real_socket(run: Any, tls: bool) -> None:
    bodies = [body_of(number, size)[:size] for number, size in enumerate((3, 2_000_000, 0, SHORT - 4, 70_000, 9))]
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusting)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(framed(bodies))
        writer.close()
        await writer.wait_closed()

    async def received() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served if tls else None)
        reader = asyncio.StreamReader(loop=loop)
        protocol = conn.AIOKafkaProtocol(loop.create_future(), reader, loop=loop)
        address = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(lambda: protocol, *address, ssl=trusting if tls else None)
        responses = Responses(protocol)
        transport.set_protocol(responses)
        transport.write(b"ask")
        assert [bytes(await responses.next()) for _ in bodies] == bodies
        with pytest.raises(EOFError):
            await responses.next()
        assert reader.at_eof()  # by which aiokafka sees that it must connect again
        transport.close()
        await protocol._closed_fut
        server.close()
        await server.wait_closed()

    run(received())
