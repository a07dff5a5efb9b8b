"""A peer on the JVM: built by Maven from peers/jvm where a JDK and Maven are found."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.drain import PeerFailed, drain
from bench.engines import say
from bench.ground import Ground
from bench.measured import Measured

JVM = Path(__file__).with_name("peers") / "jvm"
MODULES = ("flink", "kafka_streams")
MEMORY = ("-Xms2g", "-Xmx2g")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
# Flink on Java 17 looks into these.
OPENED = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.util", "java.util.concurrent")]


@dataclass(frozen=True, slots=True)
class JvmPeer:
    """A module of peers/jvm, its main class and its arguments."""

    name: str
    title: str
    crash: str
    module: str
    main: str
    arguments: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """Why it cannot run on this machine."""
        absent = [name for name in ("java", "javac", "mvn") if shutil.which(name) is None]
        return f"needs {', '.join(absent)} (a JDK of 17 or newer, and Maven)" if absent else None

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run. Raises PeerFailed."""
        build()
        jar = JVM / self.module / "target" / f"{self.module.replace('_', '-')}.jar"
        command = ["java", *MEMORY, QUIET, *OPENED, "-cp", str(jar), self.main, *self.arguments]
        return drain(self.name, run, command, {}, ground.log(None), ground.engines, ground.folder)


def build() -> None:
    """Make the jars if a source is newer. Raises PeerFailed with what Maven said."""
    sources = [*JVM.rglob("pom.xml"), *JVM.rglob("src/**/*.java")]
    jars = [JVM / module / "target" / f"{module.replace('_', '-')}.jar" for module in MODULES]
    if all(jar.exists() for jar in jars) and min(map(_made, jars)) > max(map(_made, sources)):
        return
    say("building the JVM peers with Maven ...")
    built = subprocess.run(
        ["mvn", "--quiet", "--batch-mode", "package"], cwd=JVM, capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise PeerFailed(f"Maven could not build it: {built.stdout[-1000:]}{built.stderr[-1000:]}")


def _made(path: Path) -> float:
    return path.stat().st_mtime
