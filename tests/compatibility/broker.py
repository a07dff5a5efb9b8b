"""A broker of any locked version, beside the engines of the session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pintally.tools.engines.child import Child
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.kafka import kafka_program
from pintally.tools.engines.ports import LOOPBACK
from tests.compatibility.versions import kafka_locks


@contextmanager
def broker(version: str, directory: Path) -> Iterator[str]:
    """Kafka of that version, ready; its host:port. It is stopped at the end."""
    folder = EngineFolder(directory)
    folder.take()
    try:
        ports = folder.choose_ports({"kafka": None, "kafka_controller": None})
        program = kafka_program(folder, ports["kafka"], ports["kafka_controller"], lock=kafka_locks()[version])
        child = Child(program, folder.lock_fd, report=lambda _line: None)
        child.start()
        try:
            child.wait_ready(180)
            yield f"{LOOPBACK}:{ports['kafka']}"
        finally:
            child.stop()
    finally:
        folder.release()
