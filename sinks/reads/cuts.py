"""The cut that an answer is of: what was known at a moment (docs/decisions/0017-features-as-of-a-cut.md)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection

KEPT_DAYS: Final = 88  # decision 17
IS_KEPT: Final = f"hours_until >= toStartOfDay(now('UTC')) - INTERVAL {KEPT_DAYS} DAY"  # cuts that views still know
# Of two rows of one cut the one that was published first is taken, as in the views: later readers see no other.
NEWEST = f"""
SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), published_at, {IS_KEPT}, toUnixTimestamp64Milli(now64(3))
FROM cuts
WHERE toUnixTimestamp64Milli(published_at) <= %(as_of)s
ORDER BY cut DESC, published_at, seal
LIMIT 1
"""
EPOCH = datetime.fromtimestamp(0, UTC)
AHEAD_MS: Final = 60_000  # by so much the clock of who asks may be ahead, as in the view `pin_features`
NEVER = 4_000_000_000_000  # ms since 1970, in 2096: no cut is published later


@dataclass(frozen=True, slots=True)
class Cut:
    """A published cut; moments are in seconds since 1970."""

    moment: int  # what arrived before it is known
    hours_until: int  # every hour before it is complete
    published_at: datetime | None  # None: no cut is published yet, and nothing is known

    @property
    def as_of(self) -> datetime:
        """The cut, as a time."""
        return datetime.fromtimestamp(self.moment, UTC)

    @property
    def published_ms(self) -> int:
        """When it was published, in ms since 1970: asked as of then, views are of this cut. 0 if nothing is known."""
        return in_ms(self.published_at) if self.published_at else 0


NOTHING_KNOWN = Cut(0, 0, None)


def in_ms(moment: datetime) -> int:
    """Returns a moment in ms since 1970, rounded down; a float would lose one at times."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def at_ms(moment: int) -> datetime:
    """The inverse of `in_ms`."""
    return EPOCH + timedelta(milliseconds=moment)


class NotKept(SinkError):
    """What is asked for is so old that its rows may be gone."""


class NotYet(SinkError):
    """What is asked for is not known before a moment to come."""


def read_cut(connection: Connection, as_of: datetime | None = None) -> Cut:
    """Returns the highest cut that was published by `as_of`, by default the newest; NOTHING_KNOWN if there is none.

    Raises NotKept if `as_of` is too long ago, NotYet if it is in the future: later there may be another answer.
    """
    rows = connection.rows(NEWEST, as_of=NEVER if as_of is None else in_ms(as_of))
    if not rows:
        return NOTHING_KNOWN
    *cut, is_kept, now = rows[0]
    if as_of is not None and in_ms(as_of) > now + AHEAD_MS:
        raise NotYet(
            f"{as_of.isoformat()} is in the future: the clock of ClickHouse shows {at_ms(now):%Y-%m-%d %H:%M:%S} UTC",
            "Ask for a moment that has passed, or leave it out to ask for now.",
        )
    if not is_kept and as_of is not None:
        raise NotKept(
            f"what was known at {as_of.isoformat()} is not kept any more",
            f"Ask for a moment of the last {KEPT_DAYS} days.",
        )
    return Cut(*cut) if is_kept else NOTHING_KNOWN
