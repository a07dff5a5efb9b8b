"""Protections of a server with replicas, each switched off."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.controls import CONTROLS as SHARED
from tests.controls import Control
from tests.controls.switch import replaced
from tests.simulation.replicated import ReplicatedSink


@contextmanager
def no_quorum() -> Iterator[None]:
    """An insert is acknowledged when one replica has it, and disks are lost."""
    with replaced((ReplicatedSink, "quorum", 1)):
        yield


@contextmanager
def deduplication_on() -> Iterator[None]:
    """A block that is equal to an earlier one is dropped, also if its rows were deleted or restored away since."""
    with replaced((ReplicatedSink, "deduplicates", True)):
        yield


@contextmanager
def ledger_before_cells_on_replicas() -> Iterator[None]:
    """C6: the ledger is written first; a disk is lost before cells are."""
    with SHARED["ledger-before-rows"]():
        yield


REPLICA_CONTROLS: dict[str, Control] = {
    "no-quorum": no_quorum,
    "deduplication-on": deduplication_on,
    "ledger-before-cells-on-replicas": ledger_before_cells_on_replicas,
}
