"""Where temporary files of tests are: in memory if that can be had, as engines make and delete very many small files.

On ext4 a fifth of ClickHouse's CPU time in the suite goes into looking for free inodes: right after a file was deleted
its inode is not given again, and each new file looks at all of those first.
"""

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED_GB = 4


def use_memory(environment: MutableMapping[str, str], memory: Path = MEMORY, needed_gb: float = NEEDED_GB) -> None:
    """Let this process and its children make temporary files in memory, unless TMPDIR says where they shall be."""
    if "TMPDIR" not in environment and has_room(memory, needed_gb):
        environment["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # else what it found before stays


def has_room(folder: Path, needed_gb: float) -> bool:
    """Whether files and programs in this folder, which is in memory, may take so much."""
    try:
        there = os.statvfs(folder)
        meminfo = Path("/proc/meminfo").read_text()
    except OSError:
        return False
    if there.f_flag & os.ST_NOEXEC or not os.access(folder, os.W_OK):
        return False
    available_kb = next((int(line.split()[1]) for line in meminfo.splitlines() if line.startswith("MemAvailable")), 0)
    return min(there.f_bavail * there.f_frsize, available_kb * 1024) >= needed_gb * 1e9
