"""The top pins of a window, as known at a cut or up to the last flush. Always exact.

1. Candidates: pins with heavy rows, and bounds of their counts, from small tables (`hour_tops`, `tile_tops`).
2. If the bounds tell that nobody else can be among the top k: the sums of those that can be.
3. Else the sums of all pins.

Nearly always 2 is enough. The idea is that of TPUT (Cao and Wang, PODC 2004); lists are cut once, when they are sealed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS
from pintally.sinks.reads import top_sql
from pintally.sinks.reads.cuts import KEPT_DAYS, Cut, NotKept, read_cut
from pintally.sinks.reads.finalists import Candidate, finalists
from pintally.sinks.reads.finalists import top as top_of
from pintally.sinks.reads.known_rows import LIST_BITS, KnownRows
from pintally.sinks.reads.ranking import Counts, Ranking
from pintally.sinks.reads.seals import read_newest
from pintally.sinks.reads.some_pins import AT_ONCE
from pintally.sinks.reads.windows import TEN_MINUTES, Parts, Recent, Window, recent

KEPT = timedelta(days=KEPT_DAYS)
ALL: Final = Ranking()


@dataclass(frozen=True, slots=True)
class TopPin:
    """A pin, its events of each action, in the order of `schemas/actions.py`, and how many of them are trusted."""

    pin_id: int
    counts: Counts
    trusted: Counts


@dataclass(frozen=True, slots=True)
class Top:
    """The top pins of a window: highest count first, equal counts by pin. Pins without such an event are left out."""

    window: Window
    cut: Cut  # what is known at it is counted
    live: bool  # whether what was flushed after the cut is counted too, in hours that are not complete
    certified: bool  # true: lists of heavy rows were enough, as their bounds prove; false: all pins were added up
    pins: tuple[TopPin, ...]


def read_top(
    connection: Connection,
    window: Recent | Window,
    by: Ranking = ALL,
    k: int = 100,
    *,
    as_of: datetime | None = None,
    live: bool = False,
    cut: Cut | None = None,
) -> Top:
    """Returns the k pins with the most events, or trusted events, of one action, or of all actions together.

    They are those at the newest cut, at the highest cut that was published by `as_of`, at a `cut` that was read before,
    or, with `live`, up to the last flush. A window is one that moves with the cut (`Recent`), or an hour or a day.
    Raises SinkUnavailable, SinkError, and NotKept for what is too long ago.
    """
    seals = None
    if cut is None:
        cut, seals = read_newest(connection) if as_of is None else (read_cut(connection, as_of), None)
    if isinstance(window, Recent):
        moment = read_clock(connection) if live else cut.moment
        window = recent(window, moment // TEN_MINUTES * TEN_MINUTES)
    elif window.starts_at < datetime.now(UTC) - KEPT:
        raise NotKept(
            f"counts of {window.starts_at.isoformat()} are not kept by pin and hour any more",
            f"Ask for a window of the last {KEPT_DAYS} days, or for days: the view pin_engagement_1d has the last 729.",
        )
    rows = KnownRows.read(connection, cut, Parts.of(window, cut), live, seals)
    found, actions = _from_lists(connection, rows, by, k), len(COLUMNS)
    pins = _from_all(connection, rows, by, k) if found is None else found
    shown = (TopPin(pin, counts[:actions], counts[actions:]) for pin, counts in pins)
    return Top(window, cut, live, found is not None, tuple(shown))


def read_clock(connection: Connection) -> int:
    """The clock of the server, in seconds since 1970."""
    seconds: int = connection.one("SELECT toUnixTimestamp(now('UTC'))")[0]
    return seconds


def _from_lists(connection: Connection, rows: KnownRows, by: Ranking, k: int) -> list[tuple[int, Counts]] | None:
    """Steps 1 and 2; None if the bounds do not tell."""
    if rows.is_empty:
        return []
    limit = 10 * k + 500  # so many finalists would cost more than all pins
    places, rests = connection.one(top_sql.rests(rows, by), **rows.parameters) if rows.has_lists else ([], [])
    of_hours = sum(place < 1 << LIST_BITS for place in places)
    lists = {"places": places or [0], "rests": rests or [0]}  # no list has the number 0
    numbers = {"hour_lists": of_hours, "tile_lists": len(places) - of_hours}
    found = connection.rows(top_sql.candidates(rows, by), **rows.parameters, **lists, **numbers, limit=limit)
    chosen = finalists([Candidate.of(row) for row in found], sum(rests), k, limit)
    if chosen is None:
        return None
    sums = _exact(connection, rows, chosen)
    return top_of(((each.pin_id, sums[each.pin_id]) for each in chosen), k, by)


def _exact(connection: Connection, rows: KnownRows, chosen: list[Candidate]) -> dict[int, Counts]:
    """The counts of each. Where lists of hours or of tiles leave a pin out, its rows of hours or its tiles are read."""
    in_hours = [each.pin_id for each in chosen if not each.hours.exact]
    in_tiles = [each.pin_id for each in chosen if not each.tiles.exact]
    listed = {(each.pin_id, top_sql.OF_HOURS): each.hours.counts for each in chosen}
    listed |= {(each.pin_id, top_sql.OF_TILES): each.tiles.counts for each in chosen}
    step = AT_ONCE // 2  # a statement names a pin of both twice
    for first in range(0, max(len(in_hours), len(in_tiles)), step):
        some = slice(first, first + step)
        found = connection.rows(top_sql.of_pins(rows, in_hours[some], in_tiles[some]), **rows.parameters)
        listed |= {(pin, kind): tuple(counts) for pin, kind, *counts in found}
    return {
        each.pin_id: _plus(
            listed[each.pin_id, top_sql.OF_HOURS], _plus(listed[each.pin_id, top_sql.OF_TILES], each.other)
        )
        for each in chosen
    }


def _from_all(connection: Connection, rows: KnownRows, by: Ranking, k: int) -> list[tuple[int, Counts]]:
    """Step 3."""
    return [
        (pin, tuple(counts)) for pin, *counts in connection.rows(top_sql.of_all(rows, by), **rows.parameters, limit=k)
    ]


def _plus(one: Counts, other: Counts) -> Counts:
    return tuple(a + b for a, b in zip(one, other, strict=True))
