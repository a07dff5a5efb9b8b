"""`python -m tests.support.advisories`: fails if a locked package has a known vulnerability (pip-audit).

Where no advisory service answers it says so and does not fail: a machine without a way to one must still be able to
test. Set PINTALLY_REQUIRE_AUDIT=1 where an answer is required.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = "requirements-dev.lock"  # holds all that requirements.lock holds, in the same versions
SERVICES = ("pypi", "osv")
LIMIT_S = 300


@dataclass(frozen=True)
class Verdict:
    """What a service says of a lock file."""

    vulnerable: tuple[str, ...]  # a line each
    audited: int  # packages that it knows
    unknown: tuple[str, ...]  # packages that it does not know


def judge(report: Mapping[str, Any]) -> Verdict:
    """Read the JSON of pip-audit."""
    packages = report["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    return Verdict(
        vulnerable=tuple(
            f"{package['name']} {package['version']}: {found['id']}"
            f" (fixed in {', '.join(found['fix_versions']) or 'no version yet'})"
            for package in known
            for found in package["vulns"]
        ),
        audited=len(known),
        unknown=tuple(package["name"] for package in packages if "skip_reason" in package),
    )


def audit(lock: Path, service: str) -> Verdict | None:
    """What pip-audit finds; None if the service does not answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--vulnerability-service", service, "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        verdict = judge(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return verdict if verdict.audited else None  # a mirror without advisories knows no package


def main(folder: Path, services: Sequence[str] = SERVICES) -> int:
    """Audit the lock; the exit code."""
    verdict = next((found for service in services if (found := audit(folder / LOCK, service))), None)
    if verdict is None:
        print(f"{LOCK}: NOT AUDITED, no advisory service answers ({', '.join(services)})")
        return 1 if os.environ.get("PINTALLY_REQUIRE_AUDIT") else 0
    for line in verdict.vulnerable:
        print(line)
    print(f"{LOCK}: {verdict.audited} packages audited, {len(verdict.vulnerable)} known vulnerabilities")
    if verdict.unknown:
        print(f"not known to the service: {', '.join(verdict.unknown)}")
    return 1 if verdict.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[2]))
