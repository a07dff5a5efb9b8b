"""The process of a worker that ended or does not answer: how to end it, where its log is, how to start it. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address

from pintally.serve.state import WorkerState


def kill_and_start(workers: Sequence[WorkerState]) -> list[str]:
    """Returns the commands: a process that hangs is ended, then each worker is started."""
    kills = [f"kill -9 {worker.process_id}" for worker in workers if not worker.ended and _is_here(worker)]
    return [*kills, *(_start(worker) for worker in workers)] or ["pintally worker"]


def where_killed(workers: Sequence[WorkerState]) -> str:
    """What is to be ended, as far as it is known, where a command of this machine cannot name it."""
    if all(_is_here(worker) for worker in workers):
        return "Its process hangs." if len(workers) == 1 else "Their processes hang."
    there = ", ".join(f"{_process(worker)} at {worker.address}" for worker in workers if not _is_here(worker))
    return f"The process hangs, or its machine cannot be reached. End it first: {there}."


def where_logged(workers: Sequence[WorkerState]) -> str:
    """Where the log is that says why they ended."""
    places = " and ".join(worker.address for worker in workers)
    if len(workers) == 1:
        return f"It had the address {places}: on that machine the last line of its log says why it ended."
    return f"They had the addresses {places}. Start each; on its machine the last line of its log says why it ended."


def _process(worker: WorkerState) -> str:
    return f"process {worker.process_id}" if worker.process_id else "the process"


def _is_here(worker: WorkerState) -> bool:
    """Whether a number of a process means the same here: its address is of this machine, and it has no container."""
    if not worker.process_id or worker.process_id == 1:
        return False
    try:
        return ip_address(worker.address.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False


def _start(worker: WorkerState) -> str:
    return f"pintally worker --instance {worker.member}" if worker.member else "pintally worker"
