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
from pintally.sinks.reads.windows import DAY, Parts

# A bucket has events of a later time where a producer's clock is ahead: by five minutes at most, unless rules say more.
AHEAD: Final = DAY

HOURS: Final = "window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(complete)s, 'UTC')"
BUCKETS: Final = "arrived_at >= toDateTime(%(arrived_from)s, 'UTC') AND arrived_at < toDateTime(%(cut)s, 'UTC')"
TILES: Final = (
    f"window_start >= toDateTime(%(open)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC') AND {BUCKETS}"
)
CORRECTED: Final = f"{HOURS} AND known_from <= toDateTime(%(cut)s, 'UTC')"

# The seal numbers of complete hours, and of buckets: of those with open hours, and of those with corrections.
SEALS: Final = f"""
SELECT groupArrayIf(rows_seal, kind = 'hours'), groupArrayIf(rows_seal, kind = 'tiles')
FROM feature_seals FINAL
WHERE rows_seal > 0 AND pins > 0 AND
(
    kind = 'hours' AND {HOURS}
    OR kind = 'tiles' AND {BUCKETS.replace("arrived_at", "window_start")}
    OR kind = 'tiles' AND window_start IN
        (SELECT known_from - INTERVAL 10 MINUTE FROM pin_corrections WHERE {CORRECTED})
)
"""
CORRECTIONS: Final = f"SELECT count() FROM pin_corrections WHERE {CORRECTED} AND seal IN %(tile_seals)s"
# Cells of complete hours are left out: only corrections arrive there, and they are known at the next cut.
FLUSHED: Final = f"""
SELECT pin_id, {each("if(action = {number}, events, 0) AS {column}")}
FROM
(
    SELECT pin_id, action, events
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
    corrected: bool = False  # whether there are corrections

    @classmethod
    def read(cls, connection: Connection, cut: Cut, parts: Parts, live: bool) -> "KnownRows":
        """Returns the SELECTs for what is published now. Raises SinkUnavailable or SinkError."""
        found = cls(cut, parts, live)
        hours, tiles = connection.one(SEALS, **found.parameters)
        found = replace(found, hour_seals=hours, tile_seals=tiles)
        if parts.start < parts.complete and tiles:  # after the seals: what they name is there
            found = replace(found, corrected=bool(connection.one(CORRECTIONS, **found.parameters)[0]))
        return found

    @property
    def parameters(self) -> dict[str, Any]:
        """What the SELECTs ask for."""
        return {
            "cut": self.cut.moment,
            "start": self.parts.start,
            "complete": self.parts.complete,
            "open": self.parts.open,
            "end": self.parts.end,
            "arrived_from": max(0, self.parts.open - AHEAD),
            "hour_seals": self.hour_seals,
            "tile_seals": self.tile_seals,
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
        """The heavy rows of each list, and its row with `is_rest`; {list} in `columns` is the number of the list."""
        hours = columns.replace("{list}", "toUInt64(window_start)")
        tiles = columns.replace("{list}", "bitShiftLeft(toUInt64(arrived_at), 32) + toUInt64(window_start)")
        return self._sealed(f"{hours} FROM hour_tops", f"{tiles} FROM tile_tops", where)

    def listed(self, columns: str, where: str = "true") -> list[str]:
        """All rows that lists are taken from."""
        return self._sealed(f"{columns} FROM pin_hours_by_pin", f"{columns} FROM pin_tiles", where)

    def others(self, columns: str) -> list[str]:
        """All rows that no list is taken from: corrections, and what was flushed after the cut."""
        corrections = f"SELECT {columns} FROM pin_corrections WHERE {CORRECTED} AND seal IN %(tile_seals)s"
        found = [corrections] if self.corrected else []
        flushed = f"SELECT {columns} FROM ({FLUSHED})"
        return [*found, flushed] if self.live and self.parts.open < self.parts.end else found

    def _sealed(self, hours: str, tiles: str, where: str) -> list[str]:
        found = []
        if self.parts.start < self.parts.complete and self.hour_seals:
            found.append(f"SELECT {hours} WHERE {HOURS} AND seal IN %(hour_seals)s AND {where}")
        if self.parts.open < self.parts.end and self.tile_seals:
            found.append(f"SELECT {tiles} WHERE {TILES} AND seal IN %(tile_seals)s AND {where}")
        return found


def together(selects: Iterable[str]) -> str:
    """The rows of all, which have the same columns."""
    return " UNION ALL ".join(selects)
