"""A worker in this process, from its settings to its end."""

import logging
import time

import faust
import uvloop

from streams.admin import KafkaUnavailable
from streams.app import create_app
from streams.restart import is_restarted
from streams.settings import Settings
from streams.topics import describe_topics

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


def count(settings: Settings, log_level: str) -> None:
    """Run a worker in this process to its end. `restart.command` is what it becomes if it ends to start anew."""
    uvloop.install()
    await_topics(settings)
    app = create_app(settings)
    runner = faust.Worker(app, loglevel=log_level, override_logging=True, redirect_stdouts=False, quiet=False)
    runner.execute_from_commandline()


def await_topics(settings: Settings) -> None:
    """Say at once, in one line, that an address is wrong or a topic is missing.

    A worker that has taken its own place waits instead while Kafka is away: nobody has to act, it will come back.
    """
    while True:
        try:
            describe_topics(settings)
        except KafkaUnavailable as error:
            if not is_restarted():
                raise
            log.warning("counting waits for Kafka: %s", error.what)
            time.sleep(RETRY_SECONDS)
        else:
            return
