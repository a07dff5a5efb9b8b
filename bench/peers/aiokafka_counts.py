"""Ceiling of Python on aiokafka: getmany, msgspec, a dict, ClickHouse, a commit. No recovery is built."""

import asyncio
import sys
import time

import msgspec
from aiokafka import AIOKafkaConsumer

from bench.peers.landing import Counts, Landing
from bench.peers.told import Progress, told


class Engagement(msgspec.Struct):
    pin_id: str
    occurred_at: int


async def main() -> None:
    to = told()
    progress, counts = Progress(to), Counts(Landing(to))
    consumer = AIOKafkaConsumer(
        to.topic, bootstrap_servers=to.kafka, group_id=to.group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    decode = msgspec.json.Decoder(Engagement).decode
    due = time.monotonic() + 1
    while True:
        fresh = counts.fresh
        for records in (await consumer.getmany(timeout_ms=100)).values():
            progress.add(len(records))
            for record in records:
                event = decode(record.value)
                fresh[event.pin_id, event.occurred_at // 60_000] += 1
        if time.monotonic() >= due:
            counts.flush()
            await consumer.commit()
            due = time.monotonic() + 1


if __name__ == "__main__":
    if "--gc-off" in sys.argv:
        import gc

        gc.disable()
    asyncio.run(main())
