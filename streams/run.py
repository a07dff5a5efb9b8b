"""A worker in this process, from its settings to its end."""

import logging
import time

import uvloop

from sinks.base import SinkUnavailable
from sinks.rights import refuse_missing_grants
from streams.admin import KafkaUnavailable
from streams.app import create_app
from streams.outage import CLICKHOUSE, KAFKA
from streams.own_rights import refuse_missing_rights
from streams.restart import pause
from streams.settings import Settings
from streams.signals import watch
from streams.topics import describe_topics
from streams.worker import CountingWorker

RETRY_SECONDS = 1.0


def count(settings: Settings, log_level: str) -> None:
    """Run a worker in this process to its end. `restart.command` is what it becomes if it ends to start anew."""
    watch.begin()
    logging.basicConfig(level=log_level, format="%(message)s")  # until Faust sets its own up
    pause()
    uvloop.install()
    await_topics(settings)
    refuse_without_grants(settings)
    app = create_app(settings)
    runner = CountingWorker(app, loglevel=log_level, override_logging=True, redirect_stdouts=False, quiet=False)
    runner.execute_from_commandline()


def refuse_without_grants(settings: Settings) -> None:
    """Say at once which right in ClickHouse is missing. While it does not answer, a worker starts all the same."""
    try:
        refuse_missing_grants(settings.clickhouse)
    except SinkUnavailable as error:
        CLICKHOUSE.away(error.what, "counting")


def await_topics(settings: Settings) -> None:
    """Say at once that an address is refused or a topic is missing; wait while Kafka is away, for it will come back.

    Raises KafkaRefused and TopicMissing: both are for a person.
    """
    while True:
        try:
            refuse_missing_rights(settings)
            describe_topics(settings)
        except KafkaUnavailable as error:
            KAFKA.away(error.what, "counting")
            time.sleep(RETRY_SECONDS)
        else:
            KAFKA.back()
            return
