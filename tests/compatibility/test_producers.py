"""Producers of two libraries with each codec of Kafka, idempotent ones among them; a worker that may open few files."""

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaProducer
from kafka import KafkaProducer

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from pintally.tools.drill.workers import PINTALLY_WORKER
from tests.e2e.running import verify, wait_caught_up, workers
from tests.e2e.test_other_producers import event
from tests.support.all_cells import all_cells

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
RECORDS = 30
FEW_FILES = ("sh", "-c", 'ulimit -n 256 && exec "$0" "$@"', *PINTALLY_WORKER)


async def produce_with_aiokafka(settings: Settings, codec: str | None, idempotent: bool) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        compression_type=codec,
        enable_idempotence=idempotent,
        linger_ms=20,
    )
    await producer.start()
    try:
        topic = settings.topics.names[Action.CLICK]
        await asyncio.gather(*[await producer.send(topic, event(Action.CLICK, 2)) for _ in range(RECORDS)])
    finally:
        await producer.stop()


def produce_with_kafka_python(settings: Settings, codec: str | None, idempotent: bool) -> None:
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        compression_type=codec,
        enable_idempotence=idempotent,
        linger_ms=20,
    )
    for _ in range(RECORDS):
        producer.send(settings.topics.names[Action.SAVE], event(Action.SAVE, 1))
    producer.close()


def test_every_codec_is_counted_by_a_worker_with_256_open_files(stack: Settings, tmp_path: Path) -> None:
    for codec in CODECS:
        for idempotent in (False, True):
            produce_with_kafka_python(stack, codec, idempotent)
            asyncio.run(produce_with_aiokafka(stack, codec, idempotent))
    with workers(stack, tmp_path) as start:
        start(command=FEW_FILES)
        wait_caught_up(stack)
    verify(stack)
    cells = all_cells(ClickHouseSink(stack.clickhouse))
    assert int(cells.events.sum()) == 2 * 2 * len(CODECS) * RECORDS
