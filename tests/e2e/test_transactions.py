"""Transactional producers: what they abort was never there, what they commit counts once it is committed."""

import asyncio
import json
import time
import uuid
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.e2e.running import TRANSACTION_MS, progress, verify, wait_caught_up, wait_for, workers
from tests.support.all_cells import all_cells


def event(pin: int) -> bytes:
    fields = {"event_id": str(uuid.uuid4()), "action": "save", "pin_id": str(pin), "user_id": "7"}
    return json.dumps({**fields, "occurred_at": time.time_ns() // 1_000_000}).encode()


async def produce(settings: Settings, rounds: int, committed_pin: int, aborted_pin: int) -> None:
    """Transactions of 20 records by turns committed and aborted, the last one aborted, on both partitions."""
    topic = Action.SAVE.topic(settings.topics.topic_prefix)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        transactional_id=f"{settings.kafka.group_id}-{aborted_pin}",
        transaction_timeout_ms=TRANSACTION_MS,
    )
    await producer.start()
    try:
        for number in range(2 * rounds):
            aborted = number % 2 == 1
            await producer.begin_transaction()
            for record in range(20):
                value = event(aborted_pin if aborted else committed_pin)
                await producer.send(topic, value, partition=record % 2)
            await producer.flush()
            await (producer.abort_transaction() if aborted else producer.commit_transaction())
    finally:
        await producer.stop()


def pins(settings: Settings) -> dict[int, int]:
    """Counted saves of each pin."""
    cells = all_cells(ClickHouseSink(settings.clickhouse))
    found: dict[int, int] = {}
    for pin, count in zip(cells.pin_id.tolist(), cells.events.tolist(), strict=True):
        found[pin] = found.get(pin, 0) + count
    return found


def test_aborted_records_are_absent_and_never_counted(stack: Settings, tmp_path: Path) -> None:
    settings = stack.changed(slice_records=50)
    asyncio.run(produce(settings, 5, committed_pin=1, aborted_pin=2))
    with workers(settings, tmp_path) as start:
        start()
        wait_caught_up(settings)
        asyncio.run(produce(settings, 5, committed_pin=1, aborted_pin=3))
        wait_caught_up(settings)
    found = verify(settings)
    assert pins(settings) == {1: 2 * 5 * 20}
    markers = 2 * 2 * 2 * 5  # one a partition and transaction, whether committed or aborted
    assert sum(source["gaps"] for source in found["sources"]) == 2 * 5 * 20 + markers


def test_an_open_transaction_holds_counting_back_and_what_it_commits_counts_once(
    stack: Settings, tmp_path: Path
) -> None:
    topic = Action.SAVE.topic(stack.topics.topic_prefix)

    async def open_then_commit() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=stack.kafka.bootstrap_servers,
            transactional_id=stack.kafka.group_id,
            transaction_timeout_ms=TRANSACTION_MS,
        )
        plain = AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
        await producer.start()
        await plain.start()
        try:
            await plain.send_and_wait(topic, event(1), partition=0)
            await producer.begin_transaction()
            await producer.send_and_wait(topic, event(2), partition=0)
            await plain.send_and_wait(topic, event(3), partition=0)
            await asyncio.to_thread(wait_for, lambda: progress(stack) == (1, 3), 60, "all before the open one")
            worker.kill()
            start("two").wait_ready()
            assert progress(stack) == (1, 3)
            await producer.commit_transaction()
        finally:
            await producer.stop()
            await plain.stop()

    with workers(stack, tmp_path) as start:
        worker = start("one")
        worker.wait_ready()
        asyncio.run(open_then_commit())
        wait_caught_up(stack)
    verify(stack)
    assert pins(stack) == {1: 1, 2: 1, 3: 1}
