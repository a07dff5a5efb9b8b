"""Which pins can be among the top k, from bounds of their counts. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.ranking import Counts, Ranking


@dataclass(frozen=True, slots=True)
class Listed:
    """The counts of a pin in lists of one kind."""

    exact: bool  # whether none of these lists leaves the pin out
    counts: Counts


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pin and what lists say of its count: at least `low`, at most `up`."""

    pin_id: int
    low: int
    up: int
    hours: Listed
    tiles: Listed
    other: Counts  # counts elsewhere, where no row is left out

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Candidate":
        """Returns the candidate in a row of `top_sql.candidates`."""
        pin, low, up, hours_exact, tiles_exact, *counts = row
        width = len(COUNTED)
        hours, tiles, other = (tuple(counts[place : place + width]) for place in range(0, 3 * width, width))
        return cls(pin, low, up, Listed(bool(hours_exact), hours), Listed(bool(tiles_exact), tiles), other)


def finalists(candidates: Sequence[Candidate], unseen: int, k: int, limit: int) -> list[Candidate] | None:
    """Returns the pins that the top k are among; None if candidates do not tell.

    `candidates` are all pins that have a row, or the `limit` ones of them with the highest upper bounds. A pin without
    a row has `unseen` at most. At least k pins have the k-th highest lower bound, so whoever has less in the best case
    is not among the top k. Of equal counts the lower pin is first, so a pin without a row must have less.
    """
    lows = sorted((each.low for each in candidates), reverse=True)
    bound = max(1, lows[k - 1] if len(lows) >= k else 0)  # a pin without such an event is never among the top
    if unseen >= bound:
        return None
    found = [each for each in candidates if each.up >= bound]
    return found if len(found) < limit else None


def top(sums: Iterator[tuple[int, Counts]], k: int, by: Ranking) -> list[tuple[int, Counts]]:
    """Returns the k pins with the highest counts; equal ones by pin."""
    weighed = [(by.of(counts), pin, counts) for pin, counts in sums]
    return [(pin, counts) for weight, pin, counts in sorted(weighed, key=lambda row: (-row[0], row[1])) if weight][:k]
