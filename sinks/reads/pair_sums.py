"""Sums of pins at cuts, each table read once: tiles, complete hours, corrections, and the base of the day.

The keys go to ClickHouse as one row of arrays in an external table. What comes back is the number of a key and its
sums, as bytes: a million rows of numbers would cost the driver more than ClickHouse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.pair_sql import AHEAD, SEALS, statement
from pintally.sinks.reads.sums import Sums, sums_for

HOUR, DAY = 3600, 86_400
NEVER: Final = 2**32 - 1
STRUCTURE: Final = [
    ("pins", "Array(UInt64)"), ("cuts", "Array(UInt32)"), ("untils", "Array(UInt32)"), ("heads", "Array(UInt32)"),
    ("knowns", "Array(UInt32)"), ("tile_seals", "Array(UInt64)"), ("hour_seals", "Array(UInt64)"),
    ("base_seals", "Array(UInt64)"),
]  # fmt: skip
AS_BYTES: Final = {"strings_as_bytes": True}


@dataclass(frozen=True, slots=True)
class Keys:
    """Distinct pairs of a pin and a cut, in order; seconds since 1970, 0 where no cut was published."""

    pins: NDArray[np.uint64]
    cuts: NDArray[np.int64]
    untils: NDArray[np.int64]  # hours_until of each

    @property
    def days(self) -> NDArray[np.int64]:
        """The day of `hours_until`."""
        return self.untils // DAY * DAY

    def only(self, some: NDArray[Any]) -> "Keys":
        """Those of a mask, or at places."""
        return Keys(self.pins[some], self.cuts[some], self.untils[some])

    def by(self, *times: NDArray[np.int64]) -> tuple["Keys", NDArray[np.int64]]:
        """One of each pin and these times, and for each key the place of its own."""
        new = np.ones(len(self.pins), np.bool_)
        new[1:] = np.any([np.diff(each) != 0 for each in (self.pins, *times)], axis=0)
        return self.only(new), np.cumsum(new) - 1


def read_sums(connection: Connection, keys: Keys, names: tuple[str, ...], hindsight: int | None) -> Sums:
    """The sums that features are made of, for each key. `hindsight`: the newest cut, to count what arrived by then."""
    columns = sums_for(names)
    total = np.zeros((len(keys.pins), len(columns)), np.uint64)
    known = np.flatnonzero(keys.cuts)
    if len(known):
        asked = _Asked(connection, keys.only(known), columns, hindsight)
        total[known] = asked.add_up()
    return {name: total[:, place] for place, name in enumerate(columns)}


class _Asked:
    """One question: what all of its queries share."""

    def __init__(self, connection: Connection, keys: Keys, columns: tuple[str, ...], hindsight: int | None) -> None:
        self.connection, self.keys, self.columns, self.hindsight = connection, keys, columns, hindsight
        first, last = int(keys.untils.min()), int(keys.cuts.max())
        self.parameters = {"from": first // DAY * DAY, "to": last, "known": hindsight or last}
        self.seals: Sequence[Sequence[int]] = connection.one(SEALS, **self.parameters)
        self.parameters["ahead"] = int(connection.one(AHEAD, **self.parameters)[0]) + HOUR // 6

    def add_up(self) -> NDArray[np.uint64]:
        """The sums of all tables; a coarser key where a table needs no finer one."""
        keys = self.keys
        total = self._of("tiles", keys) + self._of("corrections", keys)
        hourly, place = keys.by(keys.cuts // HOUR, keys.untils)
        total += self._of("hours", hourly)[place]
        daily, place = keys.by(keys.days)
        total += self._of("base", daily)[place]
        return total

    def _of(self, table: str, keys: Keys) -> NDArray[np.uint64]:
        total = np.zeros((len(keys.pins), len(self.columns)), np.uint64)
        sql, found = statement(table, self.columns)
        if found:
            row = [{name: values for (name, _), values in zip(STRUCTURE, self._row(keys), strict=True)}]
            external = [{"name": "keys", "structure": STRUCTURE, "data": row}]
            answer = self.connection.execute(
                sql, self.parameters, columnar=True, external_tables=external, settings=AS_BYTES
            )
            numbers = np.frombuffer(b"".join(answer[0]) if answer else b"", "<u8").reshape(-1, 1 + len(found))
            for place, name in enumerate(found, 1):
                total[numbers[:, 0] - 1, self.columns.index(name)] = numbers[:, place]
        return total

    def _row(self, keys: Keys) -> list[list[int]]:
        cuts = keys.cuts
        heads = np.full(len(cuts), NEVER) if self.hindsight is None else cuts
        knowns = cuts if self.hindsight is None else np.full(len(cuts), self.hindsight)
        times = [each.tolist() for each in (keys.pins, cuts, keys.untils, heads, knowns)]
        return [*times, *(list(seals) for seals in self.seals)]
