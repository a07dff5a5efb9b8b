"""Where Prometheus is, if this machine has it: on PATH, or unpacked in the cache of the engines."""

import os
import shutil
from pathlib import Path

from pintally.tools.engines.cache import cache_folder

UNPACKED = "prometheus"  # the folder in the cache: what Debian's package of this name holds
HOW_TO_GET_IT = (
    "Debian, Ubuntu: apt-get install prometheus. Without installing a service: "
    "apt-get download prometheus && dpkg -x prometheus_*.deb {folder}"
)


def find_prometheus(program: str = "prometheus") -> Path | None:
    """The file of `prometheus` or `promtool`; None if the machine has none."""
    if on_path := shutil.which(program):
        return Path(on_path)
    unpacked = cache_folder() / UNPACKED / "usr" / "bin" / program
    return unpacked if os.access(unpacked, os.X_OK) else None


def how_to_get_it() -> str:
    """What to do if `find_prometheus` finds nothing."""
    return HOW_TO_GET_IT.format(folder=cache_folder() / UNPACKED)
