"""A worker in this process, from its settings to its end."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import uvloop

from pintally.schemas.errors import KafkaUnavailable, PintallyError, SinkUnavailable
from pintally.sinks.clickhouse.engines import refuse_wrong_engines
from pintally.sinks.clickhouse.rights import refuse_missing_grants
from pintally.streams.http.listening import Listening
from pintally.streams.http.server import serving
from pintally.streams.kafka.needed_rights import refuse_missing_rights
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.log.setup import log_to_stderr
from pintally.streams.settings import ClickHouseSettings, KafkaSettings, Settings, TopicSettings
from pintally.streams.worker import supervisor
from pintally.streams.worker.counters import counters
from pintally.streams.worker.ended import leave_reason
from pintally.streams.worker.first_lines import say_start
from pintally.streams.worker.garbage import leave_loaded
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.outage import CLICKHOUSE, KAFKA
from pintally.streams.worker.process import pause, refuse, watch

RETRY_SECONDS = 1.0


def count(settings: Settings, log_level: str, warnings: Sequence[str] = ()) -> None:
    """Run a worker in this process to its end. `process.command` is what it becomes where it restarts.

    `warnings` are of the settings.
    """
    watch.begin()
    watch.refusing = partial(leave_reason, settings.kafka.group_instance_id)
    counters.set("ready", 0)
    log_to_stderr(log_level, settings.worker.log_format, settings.kafka.group_instance_id)
    say_start(settings, warnings)
    asked = ThreadPoolExecutor(1, "asks").submit(ask, settings)  # while the rest is loaded
    # Only now: the first start of a version compiles its loops as it imports them, and should not be silent meanwhile.
    from pintally.streams.worker.app import create_app
    from pintally.streams.worker.runner import CountingWorker
    from pintally.streams.worker.serving import take_address

    leave_loaded()
    supervisor.tell(READY="1", STATUS="waits for Kafka and its partitions")
    try:
        listening, health = take_address(settings), Health(Stage.WAITING)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as waiting:
            waiting.run(wait(asked, settings, listening, health))
    except PintallyError as error:
        refuse(error)
    uvloop.install()
    app = create_app(settings)
    app.health, app.listening = health, listening
    runner = CountingWorker(app, loglevel=log_level, override_logging=True, redirect_stdouts=False, quiet=False)
    counters.add("starts")
    runner.execute_from_commandline()


def ask(settings: Settings) -> None:
    """Return when counting can begin. Blocking. Raises as `await_topics` and `refuse_without_grants` do."""
    pause()
    await_topics(settings.kafka, settings.topics)
    refuse_without_grants(settings.clickhouse)


async def wait(asked: "Future[None]", settings: Settings, listening: Listening, health: Health) -> None:
    """Wait for the outcome of `ask`, and answer meanwhile. Raises as `ask` does."""
    from pintally.streams.worker.serving import routes

    member = settings.kafka.group_instance_id
    async with serving(listening, routes(health, member=member)):
        watchdog = asyncio.create_task(supervisor.answer())  # the runner cancels it where this ends by an error
        await asyncio.wrap_future(asked)
        watchdog.cancel()
    health.stage = Stage.STARTING


def refuse_without_grants(clickhouse: ClickHouseSettings) -> None:
    """Say at once which right in ClickHouse is missing, or that its tables are not those of the settings.

    While it does not answer, a worker starts all the same.
    """
    try:
        for server in clickhouse.shards:
            refuse_missing_grants(server)
            refuse_wrong_engines(server)
    except SinkUnavailable as error:
        CLICKHOUSE.away(error.what, "counting")


def await_topics(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Say at once that an address is refused or a topic is missing; wait while Kafka is away, for it will come back.

    Raises KafkaRefused and TopicMissing: both are for a person.
    """
    while True:
        try:
            refuse_missing_rights(kafka, topics)
            describe_topics(kafka, topics)
        except KafkaUnavailable as error:
            KAFKA.away(error.what, "counting")
            time.sleep(RETRY_SECONDS)
        else:
            KAFKA.back()
            return
