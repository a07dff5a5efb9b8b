"""Which of the recounted cells one server must have, where several share the pins (C33).

A pin is on shard (pin_id * 11400714819323198485 mod 2^64) >> 32, modulo the number of shards. Cells of no pin and dead
letters are on shard 0. Ledgers are equal on all shards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pintally.audit.addresses import Addresses
from pintally.audit.aggregates import AGGREGATES, key_columns
from pintally.audit.cells import Cells
from pintally.audit.chain import RulesEpoch
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.flushed import Flushed
from pintally.audit.invariants import Sums
from pintally.audit.slices import Slice

MULTIPLIER = np.uint64(11_400_714_819_323_198_485)
SHIFT = np.uint64(32)
PIN = "pin_id"


def on_shard(slice_: Slice, addresses: Addresses) -> Slice:
    """The slice with the cells and the dead letters of one shard."""
    number, shards = addresses.number, len(addresses.shards)
    if shards <= 1:
        return slice_
    cells = tuple(
        _of(cells, key_columns(aggregate), number, shards)
        for aggregate, cells in zip(AGGREGATES, slice_.cells, strict=True)
    )
    return replace(slice_, cells=cells, rejected=[] if number else slice_.rejected)


def _of(cells: Cells, names: Sequence[str], number: int, shards: int) -> Cells:
    if PIN not in names:
        return cells.at(np.full(len(cells), number == 0))
    pins = cells.keys[names.index(PIN)].astype(np.uint64)
    return cells.at((pins * MULTIPLIER >> SHIFT) % np.uint64(shards) == np.uint64(number))


def number_of(pin: int, shards: int) -> int:
    """The number of the shard of one pin."""
    return ((pin * int(MULTIPLIER) % (1 << 64)) >> int(SHIFT)) % shards


def refuse_other_number(flushed: Flushed, epochs: Iterable[RulesEpoch], addresses: Addresses) -> None:
    """Raise CannotTell if the rules are of another number of shards than there are addresses."""
    for epoch in epochs:
        if epoch.rules.shards != max(1, len(addresses.shards)):
            raise CannotTell(
                f"{flushed}: its pins are counted over PINTALLY_SHARDS={epoch.rules.shards}, the settings name "
                f"{max(1, len(addresses.shards))}",
                "Set PINTALLY_SHARDS and PINTALLY_CLICKHOUSE_OTHER_SHARDS to the servers of all shards.",
            )


def refuse_other_order(clickhouse: ClickHouse, addresses: Addresses) -> None:
    """Raise CannotTell if the server is another shard than the settings say."""
    if len(addresses.shards) > 1:
        told = clickhouse.rows("SELECT shard, shards FROM shard_numbers ORDER BY written_at LIMIT 1")
        if told != [{"shard": addresses.number, "shards": len(addresses.shards)}]:
            raise CannotTell(
                f"{addresses} says that it is {told or 'no shard'}, "
                f"the settings name it as shard {addresses.number} of {len(addresses.shards)}",
                "Name the servers in the order in which counting began.",
            )


def added(each: Iterable[tuple[Sums, Sums]]) -> tuple[Sums, Sums]:
    """The sums over all shards."""
    both = Sums(), Sums()
    for found in each:
        for total, part in zip(both, found, strict=True):
            for key, value in part.items():
                total[key] = total.get(key, 0) + value
    return both


def recorded_by_all(each: Iterable[Sequence[Flushed]]) -> set[tuple[int, int, int, int]]:
    """The slices that the ledgers of all shards have up to the same version: (source, slice, version).

    Of others nothing is said of their sums: a shard that was restored gets them again.
    """
    rows = [{(source.id, *row.key, row.version) for source in flushed for row in source.ledger} for flushed in each]
    return set.intersection(*rows) if rows else set()
