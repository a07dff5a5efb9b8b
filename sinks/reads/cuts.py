"""The cut that an answer is of: what was known at a moment (docs/decisions/0017-features-as-of-a-cut.md)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection

# Of two rows of one cut the one that was published first is taken, as in the views: later readers see no other.
NEWEST = """
SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), published_at,
    hours_until >= toStartOfDay(now('UTC')) - INTERVAL 88 DAY
FROM cuts
WHERE published_at <= fromUnixTimestamp64Milli(%(as_of)s, 'UTC')
ORDER BY cut DESC, published_at, seal
LIMIT 1
"""
EPOCH = datetime.fromtimestamp(0, UTC)
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


NOTHING_KNOWN = Cut(0, 0, None)


class NotKept(SinkError):
    """What is asked for is so old that its rows may be gone."""


def read_cut(connection: Connection, as_of: datetime | None = None) -> Cut:
    """Returns the highest cut that was published by `as_of`, by default the newest; NOTHING_KNOWN if there is none.

    Raises NotKept if `as_of` is too long ago.
    """
    rows = connection.rows(NEWEST, as_of=NEVER if as_of is None else (as_of - EPOCH) // timedelta(milliseconds=1))
    if not rows:
        return NOTHING_KNOWN
    *cut, is_kept = rows[0]
    if not is_kept and as_of is not None:
        raise NotKept(
            f"what was known at {as_of.isoformat()} is not kept any more", "Ask for a moment of the last 88 days."
        )
    return Cut(*cut) if is_kept else NOTHING_KNOWN
