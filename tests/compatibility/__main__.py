"""`python -m tests.compatibility`: what docs/compatibility.md claims, on other versions of Kafka and ClickHouse.

Runs the tests of `claims.py` on the real engine of each version that is named, which is fetched at first use; a Kafka
below the lowest supported one must be refused. Without an option all versions that have a lock are run, one after the
other. Exit code 0: all hold.

    python -m tests.compatibility --kafka 3.6.2 --clickhouse 25.8
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pintally.tools.engines import local_engines
from tests.compatibility.claims import CLICKHOUSE_BY, KAFKA_BY, REFUSED_BY
from tests.compatibility.clickhouse import clickhouse, clickhouse_locks
from tests.compatibility.versions import is_supported, kafka_locks


def main() -> int:
    """Run what was asked for; a line for each version at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility")
    parser.add_argument("--kafka", action="append", default=[], choices=list(kafka_locks()), help="may be repeated")
    parser.add_argument("--clickhouse", action="append", default=[], choices=list(clickhouse_locks()), help="the same")
    asked = parser.parse_args()
    everything = not (asked.kafka or asked.clickhouse)
    results = [_on_kafka(version) for version in asked.kafka or (kafka_locks() if everything else ())]
    results += [_on_clickhouse(version) for version in asked.clickhouse or (clickhouse_locks() if everything else ())]
    print(*(line for line, _ in results), sep="\n")
    return max(code for _, code in results)


def _on_kafka(version: str) -> tuple[str, int]:
    supported = is_supported(version)
    chosen = [each for shown in KAFKA_BY.values() for each in shown] if supported else list(REFUSED_BY)
    expected = "counts exactly" if supported else "is refused"
    environment = {"PINTALLY_TEST_ENGINES": "local", "PINTALLY_TEST_KAFKA": version}
    return _run(f"Kafka {version}", expected, chosen, environment)


def _on_clickhouse(version: str) -> tuple[str, int]:
    chosen = [each for shown in CLICKHOUSE_BY.values() for each in shown]
    with _kafka_beside(version) as environment:
        return _run(f"ClickHouse {version}", "counts exactly", chosen, environment)


@contextmanager
def _kafka_beside(version: str) -> Iterator[Mapping[str, str]]:
    """ClickHouse of that version, and the Kafka of the local engines."""
    with (
        tempfile.TemporaryDirectory() as made,
        clickhouse(version, Path(made) / "old") as older,
        local_engines(Path(made) / "engines") as engines,
    ):
        addresses = {**older.environment(), "PINTALLY_KAFKA_BOOTSTRAP_SERVERS": engines.addresses.kafka}
        yield {**addresses, "PINTALLY_TEST_ENGINES": "environment"}


def _run(name: str, expected: str, chosen: Sequence[str], environment: Mapping[str, str]) -> tuple[str, int]:
    """A line of what came out, and the exit code of pytest."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", *chosen]
    code = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
    result = expected if code == 0 else f"FAILED (exit code {code})"
    return f"{name}: {result}, {time.monotonic() - began:.0f} s", code


if __name__ == "__main__":
    sys.exit(main())
