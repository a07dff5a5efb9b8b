"""Apache Kafka's jars: those that `locks/jgo.lock.toml` names, each with its SHA-256."""

import shutil
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.cache import fetch_once, is_cached

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).parent / "locks" / "jgo.lock.toml"
TIMEOUT_S = 60
TRIES = 3
ONLINE = "Check the network (proxy variables are honoured), then run the command again."


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked artifact of Maven."""

    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked_jars(lock: str) -> list[Jar]:
    """All artifacts of a jgo lock file's text. Raises KeyError on one without a checksum."""
    return [
        Jar(entry["groupId"], entry["artifactId"], entry["version"], entry["sha256"])
        for entry in tomllib.loads(lock)["dependencies"]
    ]


def kafka_is_cached() -> bool:
    """Whether `kafka_jars` has nothing to fetch."""
    return is_cached(_cache_name(LOCK))


def kafka_jars(lock: Path = LOCK) -> Path:
    """The folder with the jars that `lock` names, fetched on first use.

    Raises PintallyError if they cannot be fetched.
    """
    return fetch_once(_cache_name(lock), lambda to: _fetch(locked_jars(lock.read_text()), to))


def _cache_name(lock: Path) -> str:
    """Another lock, another folder."""
    return f"kafka-{sha256(lock.read_bytes()).hexdigest()[:12]}"


def _fetch(jars: list[Jar], to: Path) -> None:
    # jgo's own `sync` does not check the lock's checksums; its repository layer fetches exactly what it is told.
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory(dir=to) as repository, ThreadPoolExecutor(8) as threads:
        repositories = {"central": MAVEN_CENTRAL_URL, **_repositories()}
        maven = MavenContext(repo_cache=Path(repository), local_repos=[], remote_repos=repositories, timeout=TIMEOUT_S)
        for fetched in threads.map(lambda jar: _fetch_one(maven, jar), jars):
            shutil.move(fetched, to)


def _repositories() -> dict[str, str]:
    """Those of the user's jgo settings; none for a user without a home."""
    from jgo.config import GlobalSettings

    try:
        return dict(GlobalSettings.load().repositories)
    except RuntimeError:
        return {}


def _fetch_one(maven: "MavenContext", jar: Jar) -> Path:
    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(1, TRIES + 1):
        try:
            path = artifact.resolve()
            break
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, jgo's own are RuntimeErrors
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)  # half a file would count as fetched
            if attempt == TRIES:
                raise PintallyError(f"could not fetch {jar} for Apache Kafka: {error}", ONLINE) from error
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise PintallyError(
            f"{jar} has SHA-256 {found}, not {jar.sha256} as locked",
            "Something on the way changes downloads (a proxy, a mirror): fetch from another network.",
        )
    return path
