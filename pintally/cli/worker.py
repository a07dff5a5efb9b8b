"""`pintally worker`: count events until stopped."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pintally.streams.worker import process
from pintally.streams.worker.garbage import leave_loaded
from pintally.streams.worker.process import watch
from pintally.tools.python import PINTALLY


def worker(
    instance: Annotated[
        str | None,
        typer.Option(
            help="Static member name, different for each worker. A restart in the session timeout keeps its partitions."
        ),
    ] = None,
    counters: Annotated[
        Path | None, typer.Option(help="Write counters of this worker to this file, as JSON.", dir_okay=False)
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Count events from Kafka into ClickHouse, until SIGTERM or Ctrl-C.

    Workers of one group (PINTALLY_KAFKA_GROUP_ID) share the partitions. A worker may be killed at any moment: the next
    one restores from the log what was not flushed. Run `pintally migrate` once before the first worker.

    Example: pintally worker --instance worker-1
    """
    watch.begin()  # before any thread is started
    leave_loaded()  # before the rest is loaded
    from pintally.streams.log.setup import refuse_level
    from pintally.streams.settings import load_settings
    from pintally.streams.worker.counters import counters as own_counters
    from pintally.streams.worker.run import count

    refuse_level(log_level)
    warnings: list[str] = []
    settings = load_settings(warnings.append, over_shards=True)
    if instance:
        settings = settings.changed(kafka_group_instance_id=instance)
    if counters:
        own_counters.keep_in(counters)
    process.command = (*PINTALLY, *sys.argv[1:])
    count(settings, log_level, warnings)
