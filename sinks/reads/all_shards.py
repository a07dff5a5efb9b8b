"""What `pintally.features` asks of servers that share the pins (C33): each pin of its own server, and one answer.

One pin touches one server. Rows of one answer that ranks or compares pins are of one cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.dimensions import Dimension
from pintally.schemas.shards import shard_of
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.counts import in_order, read_counts
from pintally.sinks.reads.cuts import NOTHING_KNOWN, Cut, read_cut
from pintally.sinks.reads.online import read_features, read_online
from pintally.sinks.reads.pairs import Known, read_pairs
from pintally.sinks.reads.ranking import Ranking
from pintally.sinks.reads.seals import Seals, read_newest
from pintally.sinks.reads.shards import cut_at
from pintally.sinks.reads.tops import Top, read_clock, read_top
from pintally.sinks.reads.windows import TEN_MINUTES, Recent, Window, recent

Answer = TypeVar("Answer")
Columns = dict[str, NDArray[Any]]


class Servers(Protocol):
    """The servers of all shards, by their numbers."""

    def __len__(self) -> int:
        """How many there are."""

    def ask(self, number: int, question: Callable[[Connection], Answer]) -> Answer:
        """The answer of one of them. Raises SinkUnavailable, SinkError."""


@dataclass(frozen=True, slots=True)
class Online:
    """Features of pins at one cut, which each server published at its own moment."""

    cuts: tuple[Cut, ...]  # of the servers that were asked
    at: NDArray[np.int64]  # for each pin the place of its cut in `cuts`
    columns: Columns


def online_of(servers: Servers, pins: NDArray[np.uint64], types: dict[str, str]) -> Online:
    """Features of some pins, in their order, at the newest cut that the servers of these pins have in common."""
    numbers, at = _places(servers, pins)
    if len(numbers) == 1:
        cut, columns = servers.ask(numbers[0], lambda connection: read_online(connection, pins, types))
        return Online((cut,), at, columns)
    newest = [servers.ask(number, read_newest) for number in numbers]
    least = min(cut.moment for cut, _ in newest)
    cuts, parts = [], []
    for place, number in enumerate(numbers):
        read = partial(_features_at, least, *newest[place], pins=pins[at == place], types=types)
        cut, part = servers.ask(number, read)
        cuts.append(cut)
        parts.append(part)
    is_known = all(cut.published_at for cut in cuts)
    return Online(tuple(cuts) if is_known else (NOTHING_KNOWN,) * len(cuts), at, _scattered(at, parts))


def _features_at(
    moment: int,
    newest: Cut,
    seals: Seals | None,
    connection: Connection,
    *,
    pins: NDArray[np.uint64],
    types: dict[str, str],
) -> tuple[Cut, Columns]:
    """Features at the cut of a moment: the server's newest, whose seals are known, or one before it."""
    cut = newest if newest.moment == moment else cut_at(connection, moment)
    return cut, read_features(connection, cut, pins, types, seals if cut is newest else None)


def pairs_of(
    servers: Servers,
    pins: NDArray[np.uint64],
    moments: NDArray[np.int64],
    types: dict[str, str],
    known: Known,
    refuse: Callable[[Connection, NDArray[np.int64]], None],
) -> tuple[NDArray[np.int64], Columns]:
    """What `read_pairs` returns, each pin from its own server; `refuse` may raise for moments that one cannot answer.

    The cut of a pair is the newest that the server of its pin had published at the moment.
    """
    numbers, at = _places(servers, pins)
    cuts, parts = [], []
    for place, number in enumerate(numbers):
        own = at == place
        read = partial(_pairs, refuse=refuse, pins=pins[own], moments=moments[own], types=types, known=known)
        of_pair, part = servers.ask(number, read)
        cuts.append({"cut": of_pair})
        parts.append(part)
    return _scattered(at, cuts)["cut"], _scattered(at, parts)


def _pairs(
    connection: Connection,
    refuse: Callable[[Connection, NDArray[np.int64]], None],
    pins: NDArray[np.uint64],
    moments: NDArray[np.int64],
    types: dict[str, str],
    known: Known,
) -> tuple[NDArray[np.int64], Columns]:
    refuse(connection, moments)
    return read_pairs(connection, pins, moments, types, known)


def counts_of(
    servers: Servers,
    resolution: str,
    start: int,
    end: int,
    pins: NDArray[np.uint64] | None,
    by: Dimension | None,
) -> Columns:
    """What `read_counts` returns: of all servers if no pins are named."""
    numbers, at = (list(range(len(servers))), None) if pins is None else _places(servers, pins)
    parts = []
    for place, number in enumerate(numbers):
        own = None if pins is None else pins[at == place]
        read = partial(read_counts, resolution=resolution, start=start, end=end, pins=own, by=by)
        parts.append(servers.ask(number, read))
    if len(parts) == 1:
        return parts[0]
    return in_order({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, by)


def top_of(
    servers: Servers, window: Recent | Window, by: Ranking, k: int, *, as_of: datetime | None, live: bool
) -> Top:
    """What `read_top` returns, at the newest cut that all servers have in common.

    A pin is on one of them. So the first k of all are among the first k of each.
    """
    if len(servers) == 1:
        return servers.ask(0, lambda connection: read_top(connection, window, by, k, as_of=as_of, live=live))
    cuts = _common(servers, as_of)
    if isinstance(window, Recent):
        moment = servers.ask(0, read_clock) if live else cuts[0].moment
        window = recent(window, moment // TEN_MINUTES * TEN_MINUTES)
    tops = [
        servers.ask(number, partial(read_top, window=window, by=by, k=k, live=live, cut=cut))
        for number, cut in enumerate(cuts)
    ]
    pins = [pin for top in tops for pin in top.pins]
    pins.sort(key=lambda pin: (-by.of((*pin.counts, *pin.trusted)), pin.pin_id))
    known = [cut.published_at for cut in cuts if cut.published_at]
    whole = replace(cuts[0], published_at=max(known) if len(known) == len(cuts) else None)
    return Top(window, whole, live, all(top.certified for top in tops), tuple(pins[:k]))


def _common(servers: Servers, as_of: datetime | None) -> list[Cut]:
    """Of each server the highest cut that all had published by `as_of`; NOTHING_KNOWN of all if one has none."""
    newest = [servers.ask(number, lambda connection: read_cut(connection, as_of)) for number in range(len(servers))]
    least = min(cut.moment for cut in newest)
    found = [
        cut if cut.moment == least else servers.ask(number, partial(cut_at, moment=least))
        for number, cut in enumerate(newest)
    ]
    return found if all(cut.published_at for cut in found) else [NOTHING_KNOWN] * len(found)


def _places(servers: Servers, pins: NDArray[np.uint64]) -> tuple[list[int], NDArray[np.int64]]:
    """The numbers of the servers that have these pins, at least one, and for each pin the place of its own."""
    numbers, at = np.unique(shard_of(pins, len(servers)), return_inverse=True)
    return numbers.astype(int).tolist() or [0], at.astype(np.int64)


def _scattered(at: NDArray[np.int64], parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, each row where it was asked for."""
    if len(parts) == 1:
        return parts[0]
    whole = {name: np.empty(len(at), column.dtype) for name, column in parts[0].items()}
    for place, part in enumerate(parts):
        for name, column in part.items():
            whole[name][at == place] = column
    return whole
