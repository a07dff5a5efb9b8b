"""Audits several sources: in as many processes as there are cores, or in this one if there is little to recount."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from os import cpu_count
from typing import Any

from pintally.audit.addresses import Addresses
from pintally.audit.errors import CannotTell
from pintally.audit.flushed import Flushed
from pintally.audit.one_source import audit_source
from pintally.audit.sampling import Slices
from pintally.audit.source_audit import SourceReport

FEW_OFFSETS = 1_000_000  # one process more costs as much CPU as some 100,000 records
Progress = Callable[[int, int], None]  # (offsets recounted, offsets in all)

_recounted: Any = None  # offsets that each process has recounted, shared with the parent


def _share(counters: Any) -> None:
    global _recounted
    _recounted = counters


def _audit_shared(
    addresses: Addresses, flushed: Flushed, since: int, drawn: Sequence[int] | None, number: int
) -> SourceReport:
    def add(offsets: int) -> None:
        _recounted[number] += offsets

    return audit_source(addresses, flushed, since, add, drawn)


def audit_all(
    addresses: Addresses,
    flushed: Sequence[Flushed],
    since: int,
    processes: int | None,
    progress: Progress,
    drawn: Slices | None,
) -> list[SourceReport]:
    """Check the sources in as many processes as there are cores; in this one if there is little to recount.

    Raises CannotTell if one of them is killed.
    """
    of_source = [None if drawn is None else drawn.get(source.id, []) for source in flushed]
    of = sum(_to_recount(source, since, starts) for source, starts in zip(flushed, of_source, strict=True))
    workers = min(len(flushed), processes or cpu_count() or 1)
    if workers <= 1 or (processes is None and of < FEW_OFFSETS):
        return _audit_here(addresses, flushed, since, lambda done: progress(done, of), of_source)
    context = get_context("spawn")  # a fork would copy the locks of threads that do not live on in it
    counters = context.RawArray("Q", len(flushed))
    with ProcessPoolExecutor(workers, context, _share, (counters,)) as pool:
        futures: list[Future[SourceReport]] = [
            pool.submit(_audit_shared, addresses, source, since, of_source[number], number)
            for number, source in enumerate(flushed)
        ]
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=0.5)
            progress(sum(counters), of)
        try:
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise CannotTell(
                "a process that recounts a source was killed, perhaps for want of memory",
                "Give it more memory, or fewer processes: `pintally verify --processes 1`.",
            ) from error


def _audit_here(
    addresses: Addresses,
    flushed: Sequence[Flushed],
    since: int,
    progress: Callable[[int], None],
    drawn: Sequence[Sequence[int] | None],
) -> list[SourceReport]:
    done = 0

    def add(offsets: int) -> None:
        nonlocal done
        done += offsets
        progress(done)

    return [audit_source(addresses, source, since, add, starts) for source, starts in zip(flushed, drawn, strict=True)]


def _to_recount(source: Flushed, since: int, drawn: Sequence[int] | None) -> int:
    """Returns the approximate number of offsets that the recount will read."""
    if drawn is not None:
        wanted = set(drawn)
        return 2 * sum(row.position - row.start for row in source.ledger if row.start in wanted)
    starts = [row.start for row in source.starts] + [row.start for row in source.ledger if row.arrived_at >= since]
    furthest = max((row.position for row in source.ledger), default=0)
    return max(0, furthest - min((start for start in starts if since == 0 or start), default=furthest))
