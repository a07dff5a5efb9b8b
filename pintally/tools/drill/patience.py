"""Faults wait for the engines they talk to: the other group may have killed one a moment ago, and it comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from pintally.schemas.errors import KafkaUnavailable, SinkUnavailable

AWAY_SECONDS = 120.0  # how long an engine may be away, on a busy machine too
PAUSE_SECONDS = 0.3

T = TypeVar("T")


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while an engine is away; `ask` must be safe to repeat. Raises what the last try raised."""
    end = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return ask()
        except (SinkUnavailable, KafkaUnavailable):
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def producing(kafka: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for Kafka at its start, and whose records wait as long for a broker that went away."""
    patience = {"request_timeout_ms": int(AWAY_SECONDS * 1000)}
    if "transactional_id" in options:
        patience["transaction_timeout_ms"] = int(AWAY_SECONDS * 1000)
    end = time.monotonic() + AWAY_SECONDS
    while True:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, **patience, **options)
        try:
            await producer.start()
            break
        except KafkaConnectionError:
            await producer.stop()
            if time.monotonic() > end:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        yield producer
    finally:
        await producer.stop()
