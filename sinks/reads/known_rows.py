"""SELECTs of what is known of a window at one cut, one for each table; each row is in one of them.

All are for the same cut and for seal numbers that were read after it, so that they read the same rows. A part of the
window that is empty has no SELECT.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import each
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.seals import Seals
from pintally.sinks.reads.windows import DAY, Parts

# A bucket has events of a later time where a producer's clock is ahead: by five minutes at most, unless rules say more.
AHEAD: Final = DAY
NAMED: Final = 1000  # seals of buckets, of a week, that a statement names though few of them have corrections
LIST_BITS: Final = 32  # a list of tiles has the bucket above these bits of its number, a list of an hour nothing

HOURS: Final = "window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(complete)s, 'UTC')"
# Seals tell which tiles arrived before the cut; lists of tiles are in order of their buckets.
TILES: Final = "window_start >= toDateTime(%(open)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC')"
BUCKETS: Final = "arrived_at >= toDateTime(%(arrived_from)s, 'UTC') AND arrived_at < toDateTime(%(cut)s, 'UTC')"
CORRECTED: Final = f"{HOURS} AND known_from <= toDateTime(%(cut)s, 'UTC')"

# As `seals.SEALS`, of an earlier window: the seal numbers of its complete hours, and of buckets with their starts.
SEALS: Final = f"""
SELECT groupArrayIf(toUnixTimestamp(window_start), kind = 'tiles'), groupArrayIf(rows_seal, kind = 'tiles'),
    groupArrayIf(rows_seal, kind = 'hours')
FROM feature_seals FINAL
WHERE rows_seal > 0 AND pins > 0 AND
(
    kind = 'hours' AND {HOURS}
    OR kind = 'tiles' AND window_start >= toDateTime(%(first_bucket)s, 'UTC')
        AND window_start < toDateTime(%(cut)s, 'UTC')
)
"""
# Which seals have corrections: asked after the seals, so that the rows of what they name are there.
CORRECTIONS: Final = f"SELECT groupUniqArray(seal) FROM pin_corrections WHERE {CORRECTED}"
# Cells of complete hours are left out: only corrections arrive there, and they are known at the next cut.
FLUSHED: Final = f"""
SELECT pin_id, {each("if(action = {number}, events, 0) AS {column}")},
    {each("if(action = {number}, trusted, 0) AS trusted_{column}")}
FROM
(
    SELECT pin_id, action, events, trusted
    FROM pin_minutes FINAL
    WHERE hour >= toStartOfHour(toDateTime(%(open)s, 'UTC')) AND minute >= toDateTime(%(open)s, 'UTC')
        AND minute < toDateTime(%(end)s, 'UTC') AND arrived_at >= toDateTime(%(cut)s, 'UTC')
    SETTINGS optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1
)"""


@dataclass(frozen=True, slots=True)
class KnownRows:
    """The SELECTs for one window at one cut. Their parameters are `parameters`."""

    cut: Cut
    parts: Parts
    live: bool = False  # whether to add what was flushed after the cut, in hours that are not complete
    hour_seals: list[int] = field(default_factory=list)
    tile_seals: list[int] = field(default_factory=list)
    correction_seals: list[int] = field(default_factory=list)

    @classmethod
    def read(
        cls, connection: Connection, cut: Cut, parts: Parts, live: bool, seals: Seals | None = None
    ) -> "KnownRows":
        """Returns the SELECTs for what is published now. `seals`: of the cut, where they were read with it.

        Raises SinkUnavailable or SinkError.
        """
        found = cls(cut, parts, live)
        if seals is None or parts.start < seals.hours_from:
            seals = Seals.of(cut.moment, parts.start, *connection.one(SEALS, **found.parameters))
        tiles = seals.of_buckets(found.arrived_from)
        found = replace(found, hour_seals=seals.others.tolist(), tile_seals=tiles)
        buckets = seals.of_buckets(parts.start) if parts.start < parts.complete else []
        if len(buckets) > NAMED:
            buckets = sorted(set(buckets) & set(connection.one(CORRECTIONS, **found.parameters)[0]))
        return replace(found, correction_seals=buckets)

    @property
    def arrived_from(self) -> int:
        """The first bucket that may have events of open hours."""
        return max(0, self.parts.open - AHEAD)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the SELECTs ask for."""
        return {
            "cut": self.cut.moment,
            "start": self.parts.start,
            "complete": self.parts.complete,
            "open": self.parts.open,
            "end": self.parts.end,
            "arrived_from": self.arrived_from,
            "first_bucket": min(self.arrived_from, self.parts.start),
            "hour_seals": self.hour_seals,
            "tile_seals": self.tile_seals,
            "correction_seals": self.correction_seals,
        }

    @property
    def has_lists(self) -> bool:
        """Whether there are lists of heavy rows."""
        return bool(self.lists("pin_id", "true"))

    @property
    def is_empty(self) -> bool:
        """Whether no row is known."""
        return not self.has_lists and not self.others("pin_id")

    def lists(self, columns: str, where: str) -> list[str]:
        """The heavy rows of each list, and its row with `is_rest`.

        In `columns`, {list} is the number of the list, and {kind} 0 for lists of hours and 1 for lists of tiles.
        """
        hours = columns.replace("{list}", "toUInt64(window_start)").replace("{kind}", "0")
        tiles = columns.replace("{list}", f"bitShiftLeft(toUInt64(arrived_at), {LIST_BITS}) + toUInt64(window_start)")
        tiles = tiles.replace("{kind}", "1")
        return [
            *self._hours(f"{hours} FROM hour_tops", where),
            *self._tiles(f"{tiles} FROM tile_tops", f"{BUCKETS} AND {where}"),
        ]

    def hours(self, columns: str, where: str = "true") -> list[str]:
        """All rows that lists of hours are taken from."""
        return self._hours(f"{columns} FROM pin_hours_by_pin", where)

    def tiles(self, columns: str, where: str = "true") -> list[str]:
        """All rows that lists of tiles are taken from."""
        return self._tiles(f"{columns} FROM pin_tiles", where)

    def others(self, columns: str) -> list[str]:
        """All rows that no list is taken from: corrections, and what was flushed after the cut."""
        corrections = f"SELECT {columns} FROM pin_corrections WHERE {CORRECTED} AND seal IN %(correction_seals)s"
        found = [corrections] if self.correction_seals else []
        flushed = f"SELECT {columns} FROM ({FLUSHED})"
        return [*found, flushed] if self.live and self.parts.open < self.parts.end else found

    def _hours(self, select: str, where: str) -> list[str]:
        if self.parts.start == self.parts.complete or not self.hour_seals:
            return []
        return [f"SELECT {select} WHERE {HOURS} AND seal IN %(hour_seals)s AND {where}"]

    def _tiles(self, select: str, where: str) -> list[str]:
        if self.parts.open == self.parts.end or not self.tile_seals:
            return []
        return [f"SELECT {select} WHERE {TILES} AND seal IN %(tile_seals)s AND {where}"]


def together(selects: Iterable[str]) -> str:
    """The rows of all, which have the same columns."""
    return " UNION ALL ".join(selects)
