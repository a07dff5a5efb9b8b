"""Ceiling of the client: aiokafka's getmany, nothing done with the records."""

import asyncio

from aiokafka import AIOKafkaConsumer

from bench.peers.told import Progress, told


async def main() -> None:
    to = told()
    progress = Progress(to)
    consumer = AIOKafkaConsumer(
        to.topic, bootstrap_servers=to.kafka, group_id=to.group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            progress.add(len(records))


if __name__ == "__main__":
    asyncio.run(main())
