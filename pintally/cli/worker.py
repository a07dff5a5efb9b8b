"""`pintally worker`: count until told to stop."""

import sys
from typing import Annotated

import typer

from pintally.streams.worker import process as restart
from pintally.streams.worker.signals import watch
from pintally.tools.python import PINTALLY


def worker(
    instance: Annotated[
        str | None,
        typer.Option(
            help="Static group member name, one a worker: a restart within the session then costs no rebalance."
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Count engagement from Kafka into ClickHouse, until SIGTERM or Ctrl-C.

    Run as many workers as you like in one group (PINTALLY_KAFKA_GROUP_ID); they share the partitions. A worker
    may be killed at any moment: the next one folds again what was not recorded. Run `pintally migrate` once before the
    first worker.

    Example: pintally worker --instance worker-1
    """
    watch.begin()  # before anything starts a thread
    from pintally.streams.settings import load_settings
    from pintally.streams.worker.run import count

    settings = load_settings()
    if instance:
        settings = settings.changed(kafka_group_instance_id=instance)
    restart.command = (*PINTALLY, *sys.argv[1:])
    count(settings, log_level)
