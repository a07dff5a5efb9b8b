"""Protections of sealing on replicas (C23), each switched off."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pintally.sinks.clickhouse.sealing import seal, sequence, session, steps
from tests.controls import Control
from tests.controls.switch import replaced

Replacement = tuple[Any, str, Any]


def _nothing(*_: object) -> None: ...


ANY_SUMS: tuple[Replacement, ...] = (
    (steps, "is_everywhere", lambda *_: True),
    (session, "wait_for_all", _nothing),
)
NO_BARRIER: tuple[Replacement, ...] = tuple((module, "sync", _nothing) for module in (steps, session, seal))


@contextmanager
def seal_numbers_without_a_barrier() -> Iterator[None]:
    """C23: two sealers on two replicas may take the same number: a quorum is not all replicas, and none waits."""
    with replaced((sequence, "sync", _nothing), (session, "sync", _nothing), (session, "wait_for_all", _nothing)):
        yield


@contextmanager
def published_before_all_replicas_have_it() -> Iterator[None]:
    """C23: sums are compared on the replica of the sealer alone, and one more has what it inserts."""
    with replaced(*ANY_SUMS):
        yield


@contextmanager
def sealed_by_a_replica_that_lags() -> Iterator[None]:
    """C23: nor does the sealer wait for minutes that other replicas have."""
    with replaced(*ANY_SUMS, *NO_BARRIER):
        yield


SEALING_CONTROLS: dict[str, Control] = {
    "seal-numbers-without-a-barrier": seal_numbers_without_a_barrier,
    "published-before-all-replicas-have-it": published_before_all_replicas_have_it,
    "sealed-by-a-replica-that-lags": sealed_by_a_replica_that_lags,
}
