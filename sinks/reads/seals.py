"""Which rows of the tables of features count at a cut: the seal numbers of what is published (C27).

Seals are read after the cut and before rows. So of a cut all seals are found, and of a seal all rows.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import Cut, at_ms, read_cut
from pintally.sinks.reads.windows import DAY, TEN_MINUTES

Numbers = NDArray[np.uint64]
DAYS_OF_BUCKETS: Final = 31  # before the day of a cut: of corrections of hours of 30 days

# Of buckets the starts and seal numbers; the seal numbers of complete hours and of bases.
_SEALS: Final = f"""
SELECT {{first}}groupArrayIf(toUnixTimestamp(window_start), kind = 'tiles'), groupArrayIf(rows_seal, kind = 'tiles'),
    groupArrayIf(rows_seal, kind != 'tiles'){{last}}
FROM feature_seals FINAL
WHERE rows_seal > 0 AND
(
    kind = 'tiles' AND window_start >= toDateTime(%(day)s, 'UTC') - INTERVAL {DAYS_OF_BUCKETS} DAY
    OR kind != 'tiles' AND window_start >= toDateTime(%(day)s, 'UTC') - INTERVAL 1 DAY
)
"""
SEALS: Final = _SEALS.format(first="", last="")
# The same in a row with true, and one with false: of each cut from `day` on when it was published, the seal of its
# bucket, and its hours_until.
NEWEST: Final = f"""
SELECT false, groupArray(toUnixTimestamp(cut)), groupArray(toUInt64(toUnixTimestamp64Milli(published_at))),
    groupArray(seal), groupArray(toUInt64(toUnixTimestamp(hours_until)))
FROM cuts
WHERE cut >= toDateTime(%(day)s, 'UTC')
UNION ALL {_SEALS.format(first="true, ", last=", emptyArrayUInt64()")}
"""


@dataclass(frozen=True, slots=True)
class Seals:
    """The seal numbers of rows that count at one cut. Hours are those from `hours_from` on, or more."""

    hours_from: int
    starts: NDArray[np.int64]  # of the buckets, which end at the cut or before
    buckets: Numbers  # of tiles and corrections
    others: Numbers  # of complete hours and of bases; those after the cut name no hour that is read

    @classmethod
    def of(cls, cut: int, day: int, starts: Sequence[int], buckets: Sequence[int], others: Sequence[int]) -> "Seals":
        """Those of an answer to `SEALS`."""
        began = np.array(starts, np.int64)
        known = began < cut
        return cls(day - DAY, began[known], np.array(buckets, np.uint64)[known], np.array(others, np.uint64))

    def of_buckets(self, since: int) -> list[int]:
        """Those of buckets that start at `since` or later."""
        found: list[int] = self.buckets[self.starts >= since].tolist()
        return found


def read_seals(connection: Connection, cut: Cut) -> Seals:
    """The seals of a cut, and of the features at it. Raises SinkError, SinkUnavailable."""
    day = cut.hours_until // DAY * DAY
    return Seals.of(cut.moment, day, *connection.one(SEALS, day=day))


def read_newest(connection: Connection) -> tuple[Cut, Seals | None]:
    """The newest cut, and its seals if it is of today or yesterday, in one statement; else None.

    Raises SinkError, SinkUnavailable.
    """
    day = int(time.time()) // DAY * DAY - DAY
    (_, moments, published, numbers, untils), (_, *found, _) = sorted(connection.rows(NEWEST, day=day))
    if moments:
        known = zip(moments, published, numbers, untils, strict=True)
        moment, at, number, until = min(known, key=lambda row: (-row[0], *row[1:]))  # in the order of `cuts.NEWEST`
        if until >= day and _holds_bucket(found, moment - TEN_MINUTES, number):
            return Cut(moment, until, at_ms(at)), Seals.of(moment, day, *found)
    return read_cut(connection), None


def _holds_bucket(found: Sequence[Sequence[int]], start: int, number: int) -> bool:
    """Whether these seals were read after the cut, which is published after its bucket, and that after all else.

    One statement may take the snapshot of a table before that of another one that it names earlier.
    """
    starts, buckets, _ = found
    return start in starts and buckets[starts.index(start)] >= number
