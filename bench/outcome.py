"""What a benchmark leaves: every run, every failure, the machine and the versions. Written and read as JSON."""

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.clickhouse import Clickhouse
from bench.measured import Measured
from bench.options import in_order
from bench.shapes import OWN
from bench.venv import LOCK
from pintally.streams.settings import Settings

POM = Path(__file__).with_name("peers") / "jvm" / "pom.xml"
PEERS = ("quixstreams", "bytewax", "confluent-kafka")
OURS = ("pintally", "faust-streaming", "aiokafka", "clickhouse-driver", "numba", "numpy", "uvloop")


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to nothing, or a contestant that cannot run here."""

    contestant: str
    run: int | None
    reason: str
    shape: str = OWN.name  # of the log


@dataclass(frozen=True, slots=True)
class Entry:
    """Who was asked to run."""

    name: str
    title: str
    crash: str  # what a crash does to its counts, by how it works


@dataclass(frozen=True)
class Results:
    """Of one call of the benchmark."""

    began: str  # ISO 8601, UTC
    machine: dict[str, str | int]
    versions: dict[str, str]
    work: dict[str, int]  # the same of each shape
    contestants: list[Entry] = field(default_factory=list)
    runs: list[Measured] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    value_bytes: dict[str, int] = field(default_factory=dict)  # shape -> of a value in the log, on average

    @property
    def shapes(self) -> list[str]:
        """Names of the shapes of which there are runs."""
        return in_order(each.shape for each in self.runs)

    def of(self, contestant: str, shape: str = OWN.name) -> list[Measured]:
        """Its runs on the log of one shape."""
        return [each for each in self.runs if (each.contestant, each.shape) == (contestant, shape)]

    def to_json(self) -> str:
        """Everything."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Read what `to_json` wrote. Raises TypeError or KeyError on anything else."""
        read = json.loads(text)
        entries = [Entry(**each) for each in read.pop("contestants")]
        runs = [Measured(**each) for each in read.pop("runs")]
        failures = [Failure(**each) for each in read.pop("failures")]
        return cls(**read, contestants=entries, runs=runs, failures=failures)


def machine() -> dict[str, str | int]:
    """Where it runs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    return {"cpu": models[0] if models else platform.machine(), "cores": len(models) or 1, "memory_gib": memory}


def versions(settings: Settings) -> dict[str, str]:
    """Of the engines and of what our worker is made of."""
    line = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()
    server = Clickhouse(settings, "default").run("SELECT version()").decode().strip()
    ours = {name: version(name) for name in OURS}
    return {"commit": commit, "python": platform.python_version(), "kafka": broker(), "clickhouse": server, **ours}


def peer_versions() -> dict[str, str]:
    """Of the peers, as they are locked."""
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", LOCK.read_text(), re.MULTILINE))
    jvm = dict(re.findall(r"<(kafka|flink)\.version>([\d.]+)<", POM.read_text()))
    return {name: locked[name] for name in PEERS} | {"kafka streams": jvm["kafka"], "flink": jvm["flink"]}


def broker() -> str:
    """The version of the Kafka that local engines run; somebody else's is not asked."""
    if os.environ.get("PINTALLY_KAFKA_BOOTSTRAP_SERVERS"):
        return "not ours"
    from pintally.tools.engines import jars  # its packages are needed only here

    named = jars.locked_jars(jars.LOCK.read_text())
    return next(jar.version for jar in named if jar.artifact.startswith("kafka"))


def now() -> str:
    """For `Results.began`."""
    return datetime.now(UTC).isoformat(timespec="seconds")
