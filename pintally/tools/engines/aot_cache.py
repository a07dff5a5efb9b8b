"""Kafka's AOT cache: its classes as Java has them once they are loaded and linked (JEP 483, JEP 514).

With it the broker takes a third of the CPU time to start. Java checks that a cache fits its jars, its JDK and its
options, and starts without one that does not fit.
"""

from hashlib import sha256
from pathlib import Path

AOT_FILE = "kafka.aot"
QUIET = ("-Xlog:aot*=off", "-Xlog:cds*=off")  # Java warns of a cache that does not fit, or not wholly


def aot_folder(jars: Path, java: Path) -> Path:
    """Where the cache of these jars is kept for this JDK: beside the jars, so that it goes when they go."""
    release = java.parents[1] / "release"  # every JDK has this file: its version and its modules
    return jars / f"aot-{sha256(release.read_bytes()).hexdigest()[:12]}"


def aot_options(jars: Path, java: Path) -> tuple[str, ...]:
    """What Java is told to use the cache; nothing if there is none."""
    file = aot_folder(jars, java) / AOT_FILE
    return (f"-XX:AOTCache={file}", *QUIET) if file.is_file() else ()
