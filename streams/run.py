"""A worker in this process, from its settings to its end."""

import faust
import uvloop

from streams.app import create_app
from streams.settings import Settings
from streams.topics import describe_topics


def count(settings: Settings, log_level: str) -> None:
    """Run a worker in this process to its end. `restart.command` is what it becomes if it ends to start anew."""
    uvloop.install()
    describe_topics(settings)  # a wrong address or a missing topic is said here, in one line
    app = create_app(settings)
    runner = faust.Worker(app, loglevel=log_level, override_logging=True, redirect_stdouts=False, quiet=False)
    runner.execute_from_commandline()
