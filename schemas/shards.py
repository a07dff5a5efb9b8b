"""Which shard a pin is on, where several servers share the pins (C33). ClickHouse computes the same: `shard_sql`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import Rows

# 2^64 divided by the golden ratio (Fibonacci hashing): ids that are close, or of one residue, fall on all shards.
MULTIPLIER = 11_400_714_819_323_198_485
HIGH_BITS = 32  # the lower half of the product is not as well mixed


@dataclass(frozen=True, slots=True)
class Place:
    """Which shard a server is, and of how many."""

    number: int  # from 0
    shards: int

    def __str__(self) -> str:
        return f"shard {self.number} of {self.shards}"


ALONE = Place(0, 1)


def shard_of(pin_ids: NDArray[np.uint64], shards: int) -> NDArray[np.uint64]:
    """The number of the shard, from 0, of each pin."""
    return ((pin_ids * np.uint64(MULTIPLIER)) >> np.uint64(HIGH_BITS)) % np.uint64(shards)


def shard_sql(shards: int, pin_id: str = "pin_id") -> str:
    """The same in ClickHouse's SQL, of a column of type UInt64."""
    return f"bitShiftRight({pin_id} * {MULTIPLIER}, {HIGH_BITS}) % {shards}"


def split(rows: Rows, shards: int) -> list[Rows]:
    """The rows of each shard. Cells that are of no pin are all on shard 0."""
    if "pin_id" not in rows.key:
        return [rows, *[rows.select(slice(0)) for _ in range(1, shards)]]
    at = shard_of(rows.pin_id, shards)  # type: ignore[attr-defined]  # those whose key it is have it
    return [rows.select(at == number) for number in range(shards)]
