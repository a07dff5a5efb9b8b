"""The process of a worker that ended or does not answer: how to end it, where its log is, how to start it. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from pintally.serve.state import WorkerState

HERE: Final = "the machine of pintally serve"


def kill_and_start(workers: Sequence[WorkerState]) -> list[str]:
    """Returns the commands: a process that hangs is ended, then each worker is started."""
    kills = [f"kill -9 {worker.process_id}" for worker in workers if not worker.ended and _is_known_here(worker)]
    return [*kills, *(_start(worker) for worker in workers)] or ["pintally worker"]


def where_killed(workers: Sequence[WorkerState]) -> str:
    """What is to be ended, as far as it is known, where a command of this machine cannot name it."""
    if all(_is_known_here(worker) for worker in workers):
        hangs = "Its process hangs" if len(workers) == 1 else "Their processes hang"
        return f"{hangs}, on {HERE}: give the commands there."
    there = ", ".join(f"{_process(worker)} at {worker.address}" for worker in workers if not _is_known_here(worker))
    return f"The process hangs, or its machine cannot be reached. End it first: {there}."


def where_logged(workers: Sequence[WorkerState]) -> str:
    """Where the log is that says why they ended."""
    at = f"on {HERE}" if all(map(_is_here, workers)) else f"at {' and '.join(each.address for each in workers)}"
    if len(workers) == 1:
        return f"It ran {at}: start it there. The last line of its log says why it ended."
    return f"They ran {at}: start each there. The last line of a worker's log says why it ended."


def _process(worker: WorkerState) -> str:
    return f"process {worker.process_id}" if worker.process_id else "the process"


def _is_known_here(worker: WorkerState) -> bool:
    """Whether the number of its process means the same here: it is on this machine, and in no container."""
    return worker.process_id not in (None, 1) and _is_here(worker)


def _is_here(worker: WorkerState) -> bool:
    try:
        return ip_address(worker.address.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False


def _start(worker: WorkerState) -> str:
    return f"pintally worker --instance {worker.member}" if worker.member else "pintally worker"
