"""What `pintally top` asks ClickHouse, and the answer as one document."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pintally.cli.top_options import ALL
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED, COUNTS
from pintally.sinks.reads.cuts import Cut, read_cut
from pintally.sinks.reads.ranking import RANKINGS, Counts, Ranking
from pintally.sinks.reads.tops import KEPT, Top, read_top
from pintally.sinks.reads.trending import read_trending
from pintally.sinks.reads.windows import Recent, Window

LENGTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command."""

    by: str = ALL
    limit: int = 10
    as_of: datetime | None = None
    live: bool = False
    cut: Cut | None = None  # that is answered of, where several servers have it in common; else the highest by `as_of`

    @property
    def ranking(self) -> Ranking:
        """What pins are sorted by, unless it is the trend."""
        return RANKINGS[self.by]


def recent(connection: Connection, name: str, asked: Asked) -> Document:
    """The top pins of a window that ends at the cut. If no cut is published yet: up to the last flush."""
    top = read_top(
        connection, Recent(name), asked.ranking, asked.limit, as_of=asked.as_of, live=asked.live, cut=asked.cut
    )
    if top.cut.published_at is None and asked.as_of is None and not asked.live:
        top = read_top(connection, Recent(name), asked.ranking, asked.limit, live=True)
    return {"window": name, **_of(top), "pins": _pins(top)}


def trending(connection: Connection, asked: Asked) -> Document:
    """The pins whose last hour is most above their own mean."""
    found = read_trending(connection, asked.limit, as_of=asked.as_of, cut=asked.cut)
    known = found.cut.published_at is not None
    return {
        "window": Recent.LAST_HOUR.value,
        "window_start": found.window.starts_at.isoformat() if known else None,
        "as_of": found.cut.as_of.isoformat() if known else None,
        "live": False,
        "pins": [{**_pin(pin.pin_id, (*pin.counts, *pin.trusted)), "trend_1h": pin.trend} for pin in found.pins],
    }


def past(connection: Connection, resolution: str, start: datetime, asked: Asked) -> Document:
    """The top pins of a past minute, hour or day: up to the last flush, unless `as_of` says otherwise.

    Complete hours and days are answered from lists of heavy rows, everything else from the view of its length.
    """
    _refuse_unaligned(start, resolution)
    end = start + LENGTHS[resolution]
    if resolution != "1m":
        cut = asked.cut or read_cut(connection, asked.as_of)
        kept = start >= datetime.now(UTC) - KEPT
        if asked.as_of or (kept and end.timestamp() <= cut.hours_until):
            window = Window(int(start.timestamp()), int(end.timestamp()))
            top = read_top(connection, window, asked.ranking, asked.limit, as_of=asked.as_of, cut=asked.cut)
            final = window.end <= top.cut.hours_until
            pins = [{**pin, "is_final": final} for pin in _pins(top)]
            return {"resolution": resolution, **_of(top), "pins": pins}
    pins = _of_view(connection, resolution, start, asked)
    return {"resolution": resolution, "window_start": start.isoformat(), "as_of": None, "pins": pins}


def newest(connection: Connection, resolution: str) -> datetime | None:
    """Returns the start of the newest window that has counts."""
    rows = connection.rows(f"SELECT window_start FROM pin_engagement_{resolution} ORDER BY window_start DESC LIMIT 1")
    return rows[0][0] if rows else None


def _refuse_unaligned(start: datetime, resolution: str) -> None:
    """Raises PintallyError if no window of this length starts then."""
    length = int(LENGTHS[resolution].total_seconds())
    begin = datetime.fromtimestamp(int(start.timestamp()) // length * length, UTC)
    if begin != start:
        raise PintallyError(
            f"no window of {resolution} starts at {start:%Y-%m-%dT%H:%M:%S} UTC",
            f"Write the start of the one that it is in: --window {begin:%Y-%m-%dT%H:%M}.",
        )


def _of(top: Top) -> Document:
    end, is_known = top.window.ends_at, top.cut.published_at is not None
    return {
        "window_start": top.window.starts_at.isoformat() if is_known or top.live else None,
        "window_end": end and end.isoformat(),
        "as_of": top.cut.as_of.isoformat() if is_known else None,
        "live": top.live,
        "certified": top.certified,
    }


def _pins(top: Top) -> list[Document]:
    return [_pin(pin.pin_id, (*pin.counts, *pin.trusted)) for pin in top.pins]


def _pin(pin_id: int, counts: Counts) -> Document:
    # Ids are text, as in the contract: many languages round JSON numbers above 2^53.
    return {"pin_id": str(pin_id), **dict(zip(COUNTED, counts, strict=True))}


def _of_view(connection: Connection, resolution: str, start: datetime, asked: Asked) -> list[Document]:
    order = asked.ranking.sql
    rows = connection.rows(
        f"SELECT pin_id, is_final, {COUNTS} FROM pin_engagement_{resolution}"
        f" WHERE window_start = toDateTime(%(start)s, 'UTC') AND {order} > 0"
        f" ORDER BY {order} DESC, pin_id LIMIT %(limit)s",
        start=int(start.timestamp()),
        limit=asked.limit,
    )
    return [{**_pin(pin, tuple(counts)), "is_final": final} for pin, final, *counts in rows]
