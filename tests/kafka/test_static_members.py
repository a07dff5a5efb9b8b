"""Two members of one group instance id: the one that was replaced hears of it, and never takes its place back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import TopicPartition

from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.kafka.leaving import leave_group
from pintally.streams.kafka.topics import members_by
from pintally.streams.settings import Settings

SECONDS = 60


class Told:
    """A listener that keeps as what Kafka did not know it. It lets nothing go on, as a process that ends."""

    def __init__(self, *, goes_on: bool = False) -> None:
        self.forgotten_as: list[str] = []
        self._goes_on = goes_on

    def answered(self) -> None:
        """Nothing."""

    def unanswered(self) -> None:
        """Nothing."""

    def failed(self, error: BaseException) -> None:
        """Fail the test."""
        raise error

    async def forgotten(self, member_id: str) -> None:
        """Keep it."""
        self.forgotten_as.append(member_id)
        if not self._goes_on:
            await asyncio.Event().wait()


@asynccontextmanager
async def member(settings: Settings, topic: str, listener: Told, **more: Any) -> AsyncIterator[ChunkedConsumer]:
    """A member of the group by the name "one" that has all partitions; its heartbeats are a minute apart."""
    consumer = ChunkedConsumer(
        listener,
        **kafka_options(settings.kafka),
        **{
            "group_id": settings.kafka.group_id,
            "group_instance_id": "one",
            "enable_auto_commit": False,
            "session_timeout_ms": 300_000,
            "heartbeat_interval_ms": 60_000,
            **more,
        },
    )
    await consumer.start()
    try:
        consumer.subscribe([topic])
        await wait_until(lambda: bool(consumer.assignment()))
        yield consumer
    finally:
        await consumer.stop()


async def wait_until(condition: Callable[[], object]) -> None:
    """Return once the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def ids_of(settings: Settings) -> list[str]:
    """The member ids in the group."""
    with open_admin(settings.kafka) as admin:
        return [each["member_id"] for each in members_by(admin, settings.kafka)]


def test_a_member_that_commits_hears_that_it_was_replaced(settings: Settings, topic: str) -> None:
    told = Told()

    async def run() -> None:
        async with member(settings, topic, told) as first:
            mine = first.member_id
            async with member(settings, topic, Told()) as second:
                commit = asyncio.create_task(first.commit({TopicPartition(topic, 0): 0}))
                await wait_until(lambda: commit.done() or told.forgotten_as)
                assert told.forgotten_as == [mine]
                assert not commit.done()
                assert ids_of(settings) == [second.member_id]
                commit.cancel()
                with suppress(asyncio.CancelledError):
                    await commit

    asyncio.run(run())


def test_a_static_member_of_an_old_generation_joins_again_as_the_member_that_it_is(
    settings: Settings, topic: str
) -> None:
    told = Told()

    async def run() -> None:
        async with member(settings, topic, told, heartbeat_interval_ms=100) as one:
            mine = one.member_id
            one._coordinator.generation = old = 0
            await wait_until(lambda: one._coordinator.generation > old)
            assert one.member_id == mine
            assert ids_of(settings) == [mine]

    asyncio.run(run())
    assert told.forgotten_as == []


def test_a_static_member_that_nobody_replaced_joins_anew_once_it_is_told(settings: Settings, topic: str) -> None:
    told = Told(goes_on=True)

    async def run() -> None:
        async with member(settings, topic, told, heartbeat_interval_ms=100) as one:
            mine = one.member_id
            await asyncio.to_thread(leave_group, settings.changed(kafka_group_instance_id="one").kafka, mine)
            await wait_until(lambda: one.member_id not in ("", mine) and bool(ids_of(settings)))
            assert ids_of(settings) == [one.member_id]

    asyncio.run(run())
    assert told.forgotten_as


def test_a_member_that_reads_nothing_leaves_unless_it_says_that_it_stays(settings: Settings, topic: str) -> None:
    """With ClickHouse away when partitions were given out, every worker left its group after a quarter of an hour."""

    async def run() -> None:
        async with member(settings, topic, Told(), heartbeat_interval_ms=100, max_poll_interval_ms=2_000) as one:
            generation = one._coordinator.generation
            await wait_until(lambda: one._coordinator.generation != generation)
            assert one._subscription.fetcher_idle_time >= 2
            one.stay()
            assert one._subscription.fetcher_idle_time < 2
            await wait_until(lambda: one._coordinator.generation > generation)

    asyncio.run(run())
