"""The data folders of local brokers: made once, all with one cluster id, and never with more or fewer brokers."""

import base64
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.brokers import COUNTS
from pintally.tools.engines.folder import EngineFolder

DATA, MADE = "data", "meta.properties"


def brokers_made(folder: EngineFolder) -> int:
    """Of how many brokers the folder holds data; 0 if it is new.

    They are formatted in descending order, so that the highest number tells it even if formatting was interrupted.
    """
    numbers = range(1, max(COUNTS) + 1)
    return max((number for number in numbers if _meta(folder, number).exists()), default=0)


def format_brokers(
    java: list[str], properties: str, folder: EngineFolder, count: int, environment: Mapping[str, str]
) -> None:
    """Make the data folders that are not there yet, of `count` brokers. Raises PintallyError.

    `java` is the command line up to the class to run; it runs in each broker's folder, where `properties` is.
    """
    refuse_another_count(folder, count)
    cluster = _cluster_id(folder) or new_cluster_id()
    for number in range(count, 0, -1):
        if not _meta(folder, number).exists():
            command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties]
            _format(command, folder.broker(number), environment)


def refuse_another_count(folder: EngineFolder, count: int) -> None:
    """Raise PintallyError if the folder holds the data of another number of brokers.

    Their controllers vote: of three that are told to join one, two empty ones could outvote the one that knows the
    topics; and one that is started without the other two may lack what they have acknowledged.
    """
    made = brokers_made(folder)
    if made not in (0, count):
        raise PintallyError(
            f"the Kafka in {folder.path} was made with {_brokers(made)}, and cannot go on with {_brokers(count)}",
            f"Start it with --kafka-brokers {made}, or choose another folder with --directory.",
        )


def new_cluster_id() -> str:
    """A random id as Kafka writes it. Never with a dash at its start, which the command line takes for an option."""
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return name


def _cluster_id(folder: EngineFolder) -> str | None:
    """The one that formatting has begun with."""
    for number in range(1, brokers_made(folder) + 1):
        if (meta := _meta(folder, number)).exists():
            lines = dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)
            return lines.get("cluster.id")
    return None


def _meta(folder: EngineFolder, number: int) -> Path:
    return folder.broker(number) / DATA / MADE


def _format(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise PintallyError(
            f"could not make Kafka's data folder: {done.stdout}{done.stderr}".strip(),
            f"Check that {folder} can be written and has space.",
        )


def _brokers(count: int) -> str:
    return "1 broker" if count == 1 else f"{count} brokers"
