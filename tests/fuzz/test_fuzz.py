"""Some ten thousand hostile records, and the worst of them one by one. `python -m tests.fuzz` sends a million."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.fetching.record_batches import MAX_UNPACKED
from pintally.streams.settings import Settings
from tests.e2e.running import verify, wait_caught_up, workers
from tests.e2e.test_other_producers import event
from tests.e2e.topic_records import read_letters
from tests.fuzz.raw import Raw, RawBatch
from tests.fuzz.run import fuzz, rss
from tests.support.all_cells import all_cells

NAME = b"caf\xe9"
BOMB = bytes(MAX_UNPACKED * 4)  # 4 KB of zstd


@pytest.mark.timeout(240)
def test_hostile_records_are_all_accounted_for_by_one_worker(stack: Settings, tmp_path: Path) -> None:
    found = fuzz(stack, 12_000, seed=20_261_121, directory=tmp_path, say=lambda _line: None)
    assert found["exact"]


async def send(settings: Settings, batches: list[RawBatch]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers, acks="all", max_request_size=1 << 25
    )
    await producer.start()
    try:
        for batch in batches:
            await (await producer.send_batch(batch, Action.SAVE.topic(settings.topics.topic_prefix), partition=0))
    finally:
        await producer.stop()


def test_header_names_that_are_not_utf_8_neither_stop_a_partition_nor_get_lost(stack: Settings, tmp_path: Path) -> None:
    named = ((NAME, b"\xff"), (b"h", None))
    batches = [RawBatch([Raw(event(Action.SAVE), b"k", named), Raw(b"{", b"\xfe", named)], codec) for codec in range(5)]
    asyncio.run(send(stack, [*batches, RawBatch([Raw(event(Action.SAVE))])]))
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    verify(stack)
    assert int(all_cells(ClickHouseSink(stack.clickhouse)).events.sum()) == 6
    with Connection(stack.clickhouse, 30) as connection:
        rows = connection.rows(
            "SELECT hex(key), value, arrayMap(h -> (hex(h.name), hex(h.value)), headers) FROM dead_letters FINAL"
        )
    assert rows == [("FE", "{", [(NAME.hex().upper(), "FF"), ("68", None)])] * 5
    letters = read_letters(stack, dead_letter_topic(Action.SAVE.topic(stack.topics.topic_prefix)))
    assert [letter.headers[:2] for letter in letters] == [(("caf\\xe9", b"\xff"), ("h", None))] * 5


def test_a_batch_that_unpacks_to_far_too_much_is_one_dead_letter_and_counting_goes_on(
    stack: Settings, tmp_path: Path
) -> None:
    bombs = [RawBatch([Raw(b"a"), Raw(BOMB)], codec) for codec in (1, 4)]
    asyncio.run(send(stack, [*bombs, RawBatch([Raw(event(Action.SAVE))])]))
    with workers(stack, tmp_path) as start:
        worker = start()
        wait_caught_up(stack)
        assert rss(worker.process.pid) < 500e6
    [save] = [source for source in verify(stack)["sources"] if source["source"].endswith("save.v1[0]")]
    assert (save["counted"], save["invalid"], save["gaps"]) == (1, 2, 2)
    with Connection(stack.clickhouse, 30) as connection:
        rows = connection.rows("SELECT offset, value, headers FROM dead_letters FINAL ORDER BY offset")
    assert [(offset, value) for offset, value, _ in rows] == [(0, None), (2, None)]
    assert rows[0][2][0][1].startswith("offsets 0 to 1: ")


def test_offsets_that_records_make_up_are_not_believed(stack: Settings, tmp_path: Path) -> None:
    batches = [
        RawBatch([Raw(event(Action.SAVE), delta=delta) for delta in deltas])
        for deltas in ((0, 0, 0), (2, 1, 0), (0, 10**6, 2), (-5, 0, 1))
    ]
    asyncio.run(send(stack, batches))
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    verify(stack)
    assert int(all_cells(ClickHouseSink(stack.clickhouse)).events.sum()) == 12
