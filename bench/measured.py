"""What one run of one contestant used: CPU, memory and time, as the kernel counts them (/proc)."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.shapes import OWN

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")  # a second, usually 100: CPU time is known to 10 ms
KIB = 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One contestant's drain of one log, from the first record handled to the last count landed."""

    contestant: str
    run: int  # from 1
    events: int  # records handled between the two moments
    cpu_seconds: float  # user + system of its process, all threads and children
    seconds: float
    peak_bytes: int  # resident memory; the sum of the peaks if it is several processes
    kafka_cpu_seconds: float | None  # of the broker meanwhile; None: not ours to look at
    clickhouse_cpu_seconds: float | None
    landed: int | None  # sum of the counts in ClickHouse; None: it lands nothing
    wrong_cells: int | None  # cells that differ from the recount; None: it counts nothing
    load: float  # of the machine over the last minute, when it began
    shape: str = OWN.name  # of the log

    @property
    def per_cpu_second(self) -> float:
        """Events a CPU-second."""
        return self.events / self.cpu_seconds

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def correct(self) -> bool | None:
        """Every cell equal to the recount; None for one that counts nothing."""
        return None if self.wrong_cells is None else self.wrong_cells == 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Clocks at one moment: the monotonic one, and the CPU seconds of whom we watch."""

    at: float
    cpu: float
    kafka: float | None
    clickhouse: float | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Reads the clocks of a contestant's processes and of the engines."""

    pids: tuple[int, ...]
    kafka_pid: int | None = None
    clickhouse_pid: int | None = None
    other_clickhouse_pids: tuple[int, ...] = ()

    def now(self) -> Moment:
        """The clocks now. Raises FileNotFoundError if one of the processes has ended."""
        kafka = self.kafka_pid and cpu_seconds([self.kafka_pid])
        clickhouse = self.clickhouse_pid and cpu_seconds([self.clickhouse_pid, *self.other_clickhouse_pids])
        return Moment(time.monotonic(), cpu_seconds(self.pids), kafka, clickhouse)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User + system time so far of processes, their threads and their children, the ended ones included.

    Raises FileNotFoundError if one of the processes itself has ended.
    """
    pids = [pid for pid in pids if Path(f"/proc/{pid}/stat").stat()]
    return sum(_clock_ticks(each) for pid in pids for each in family(pid)) / CLOCK_TICKS


def family(pid: int) -> list[int]:
    """A process and all its descendants that run now."""
    found = [pid]
    for each in found:  # grows while it is walked
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in _read(task).split()]
    return found


def peak_bytes(pids: Iterable[int]) -> int:
    """Peak resident memory of processes and their descendants, summed."""
    return sum(_peak(each) for pid in pids for each in family(pid))


def forget_peak(pid: int) -> None:
    """Let the peak of a process that runs for long begin anew (proc(5): 5 into clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _clock_ticks(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    # utime, stime, and both of the children it has waited for; nothing is there once it has ended
    return sum(map(int, fields[11:15]))


def _peak(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM")), 0)


def _read(path: Path) -> str:
    """What the kernel says there; nothing of a thread or a child that has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
