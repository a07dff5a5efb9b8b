"""The versions of Kafka that tests can run on: that of the engines, and those whose jars are locked here."""

import tomllib
from pathlib import Path

from pintally.streams.kafka.admin import LOWEST_VERSION
from pintally.tools.engines.jars import LOCK

LOCKS = (
    Path(__file__).parent / "locks"
)  # each made by `jgo lock` from pintally/tools/engines/locks/jgo.toml, version changed


def version_of(lock: Path) -> str:
    """The version of Kafka in a lock file."""
    [kafka] = [each for each in tomllib.loads(lock.read_text())["dependencies"] if each["artifactId"] == "kafka_2.13"]
    return str(kafka["version"])


PINNED = version_of(LOCK)  # that of the local engines


def kafka_locks() -> dict[str, Path]:
    """Version -> its lock file, lowest first."""
    locks = {version_of(lock): lock for lock in [LOCK, *LOCKS.glob("*.toml")]}
    return dict(sorted(locks.items(), key=lambda each: _number(each[0])))


def is_supported(version: str) -> bool:
    """Whether Pintally counts from it."""
    return _number(version) >= LOWEST_VERSION


def lowest_supported() -> str:
    """The lowest version that can be run here and is not refused."""
    return next(version for version in kafka_locks() if is_supported(version))


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
