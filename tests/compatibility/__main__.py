"""`python -m tests.compatibility --kafka 3.6.2`: what docs/compatibility.md claims, on brokers of that version.

Runs the tests of `claims.py` on real brokers, which are fetched at first use; a version below the lowest supported one
must be refused. Without --kafka it runs on every version that has a lock, one after the other. Exit code 0: all hold.
"""

import argparse
import os
import subprocess
import sys
import time

from tests.compatibility.claims import REFUSED_BY, SHOWN_BY
from tests.compatibility.versions import is_supported, kafka_locks


def main() -> int:
    """Run what was asked for; a line for each version at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility", description=(__doc__ or "").split("\n")[2])
    parser.add_argument("--kafka", action="append", choices=list(kafka_locks()), help="may be repeated")
    versions = parser.parse_args().kafka or list(kafka_locks())
    results = {version: _run(version) for version in versions}
    for version, (code, seconds) in results.items():
        expected = "works" if is_supported(version) else "is refused"
        print(f"Kafka {version}: {expected if code == 0 else f'FAILED (exit code {code})'}, {seconds:.0f} s")
    return max(code for code, _ in results.values())


def _run(version: str) -> tuple[int, float]:
    """The exit code of pytest on that version, and how long it took."""
    chosen = [each for shown in SHOWN_BY.values() for each in shown] if is_supported(version) else list(REFUSED_BY)
    began = time.monotonic()
    environment = {**os.environ, "PINTALLY_TEST_ENGINES": "local", "PINTALLY_TEST_KAFKA": version}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *chosen], env=environment, check=False)
    return done.returncode, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
