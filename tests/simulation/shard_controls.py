"""Protections of several servers that share the pins (C33 to C35), each switched off."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pintally.schemas.cells import CellRows
from pintally.schemas.shards import split
from pintally.sinks import shards as sharded
from pintally.sinks.shards import ShardedSession
from pintally.streams.counting.shards import _flushed
from tests.controls import Control
from tests.controls.switch import replaced
from tests.simulation import servers
from tests.simulation.sink import Copy, SimSink


def _hold(self: Any, *tables: CellRows) -> None:
    self.held = tables


def _cells_last(self: Any, rows: Sequence[Any]) -> None:
    for session in self._sessions:
        session.write_ledger(rows)
    parts = [split(each, len(self._sessions)) for each in getattr(self, "held", ())]
    for session, of_shard in zip(self._sessions, zip(*parts, strict=True), strict=False):
        session.write_cells(*of_shard)


@contextmanager
def ledger_of_a_shard_before_its_cells() -> Iterator[None]:
    """C34: the ledger rows of all shards are written before cells."""
    with replaced((ShardedSession, "write_cells", _hold), (ShardedSession, "write_ledger", _cells_last)):
        yield


@contextmanager
def one_ledger_on_shard_0() -> Iterator[None]:
    """C34: the ledger of shard 0 is believed for all of them."""

    def of_shard_0(name: str) -> Any:
        return lambda self, *args: getattr(self._sessions[0], name)(*args)

    with replaced(*((ShardedSession, name, of_shard_0(name)) for name in ("read_back", "read_ledgers"))):
        yield


@contextmanager
def read_back_of_shard_0_alone() -> Iterator[None]:
    """C34: a flush does not look whether another shard went back."""

    def read_back(self: Any, *asked: Any) -> Any:
        return self._sessions[0].read_back(*asked)

    with replaced((ShardedSession, "read_back", read_back)):
        yield


@contextmanager
def recovery_from_the_shard_furthest_ahead() -> Iterator[None]:
    """C35: counting begins where the most is flushed."""
    with replaced((servers, "furthest_behind", lambda ledgers: max(ledgers, key=_flushed))):
        yield


@contextmanager
def a_shard_by_the_flush() -> Iterator[None]:
    """C33: as round-robin would: each flush goes to one shard."""

    def by_flush(rows: CellRows, shards: int) -> list[CellRows]:
        turn = int(rows.version.max()) % shards if len(rows) else 0
        return [rows.select(slice(None) if number == turn else slice(0)) for number in range(shards)]

    with replaced((sharded, "split", by_flush)):
        yield


@contextmanager
def shards_in_another_order() -> Iterator[None]:
    """C33: nobody looks which shard a server is."""
    with replaced((servers, "refuse_other_place", lambda *_: None)):
        yield


@contextmanager
def a_shard_restored_without_its_ledger() -> Iterator[None]:
    """C34: its cells are of a copy, its ledger is left as it was."""
    restore = SimSink.restore

    def cells_alone(self: SimSink, copy: Copy) -> None:
        starts, ledger = list(self.starts), dict(self.ledger)
        restore(self, copy)
        self.starts, self.ledger = starts, ledger
        self.truth.begin(self, restored=True)

    with replaced((SimSink, "restore", cells_alone)):
        yield


SHARD_CONTROLS: dict[str, Control] = {
    "ledger-of-a-shard-before-its-cells": ledger_of_a_shard_before_its_cells,
    "one-ledger-on-shard-0": one_ledger_on_shard_0,
    "read-back-of-shard-0-alone": read_back_of_shard_0_alone,
    "recovery-from-the-shard-furthest-ahead": recovery_from_the_shard_furthest_ahead,
    "a-shard-by-the-flush": a_shard_by_the_flush,
    "shards-in-another-order": shards_in_another_order,
    "a-shard-restored-without-its-ledger": a_shard_restored_without_its_ledger,
}
