"""Slices drawn at random, and what a sample says of all slices.

`drawn` of `slices` slices are drawn, each set of so many with the same probability (without replacement). If `wrong`
slices are wrong, the probability that none of them is drawn is hypergeometric:

    missed(wrong) = C(slices - wrong, drawn) / C(slices, drawn)

So a sample without a difference rules out, with a confidence of 95%, every number of wrong slices that would have been
missed with a probability of at most 5%. Samples of several runs are independent if their seeds are: a slice that stays
wrong is missed by all of `runs` runs with a probability of (1 - drawn / slices) ** runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, exp, lgamma, log

from pintally.audit.chain import current_rows, epochs_of
from pintally.audit.flushed import Flushed, LedgerRow
from pintally.audit.places import beginning, places_of, usable

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which share of the slices to draw, above 0 and below 1, and the seed that decides which."""

    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """How many slices were drawn of how many, and how many of those were recounted."""

    share: float
    seed: int
    drawn: int
    slices: int

    def missed(self, wrong: int) -> float:
        """The probability that none of `wrong` wrong slices is drawn."""
        if wrong > self.slices - self.drawn:
            return 0.0
        return exp(_choices(self.slices - wrong, self.drawn) - _choices(self.slices, self.drawn))

    def fewer_than(self) -> int:
        """If no difference is found: at this number of wrong slices, one would have been, with CONFIDENCE."""
        low, high = 1, self.slices - self.drawn + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.missed(middle) <= 1 - CONFIDENCE else (middle + 1, high)
        return low

    def runs(self) -> int:
        """Of how many runs one finds, with CONFIDENCE, a single slice that stays wrong."""
        missed = self.missed(1)
        return 1 if missed <= 1 - CONFIDENCE else ceil(log(1 - CONFIDENCE) / log(missed))


def _choices(of: int, drawn: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(of + 1) - lgamma(drawn + 1) - lgamma(of - drawn + 1)


Slices = dict[int, list[int]]  # source -> where its slices start


def draw(known: Slices, sampling: Sampling) -> Slices:
    """Draw a share of the slices, at least one, rounded up. The same seed draws the same of the same slices."""

    def place(slice_: tuple[int, int]) -> bytes:
        return blake2b(f"{sampling.seed}|{slice_[0]}|{slice_[1]}".encode(), digest_size=16).digest()

    slices = sorted(((source, start) for source, starts in known.items() for start in starts), key=place)
    drawn: Slices = {}
    for source, start in slices[: ceil(len(slices) * sampling.share)]:
        drawn.setdefault(source, []).append(start)
    return {source: sorted(starts) for source, starts in drawn.items()}


def recountable(flushed: Flushed, log_start: int, since: int) -> list[int]:
    """Where the slices start that arrived from `since` (seconds since 1970) on, and whose records the log still holds.

    Raises CannotTell if the rules are unknown.
    """
    if flushed.is_over:
        return []
    epochs, found = epochs_of(flushed), list[int]()
    places = places_of(flushed, epochs)
    rows = sorted(current_rows(flushed, epochs), key=lambda row: row.start)
    for epoch in epochs:
        end = epoch.end if epoch.end is not None else 1 << 63
        known = usable(places, flushed, epoch)
        place = beginning(known, log_start, epoch.rules.slice_records, epoch.start, end)
        if place is not None:
            found += [
                row.start
                for row in rows
                if epoch.holds(row) and row.start >= place.first.offset and row.arrived_at >= since
            ]
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """Slices that follow each other: their rows, and whether another slice begins where the last one ends."""

    rows: tuple[LedgerRow, ...]
    is_followed: bool

    @property
    def start(self) -> int:
        """The first offset."""
        return self.rows[0].start

    @property
    def end(self) -> int:
        """The offset after the last one that is flushed."""
        return self.rows[-1].position


def runs_of(rows: Sequence[LedgerRow], drawn: Sequence[int]) -> list[Run]:
    """The drawn slices of one epoch, as few runs as they make. `rows` are all of the epoch."""
    wanted, found = set(drawn), list[Run]()
    ordered = sorted(rows, key=lambda row: row.start)
    begins = {row.start for row in ordered}
    for row in ordered:
        if row.start not in wanted:
            continue
        followed = row.position in begins
        if found and found[-1].is_followed and found[-1].end == row.start:
            found[-1] = Run((*found[-1].rows, row), followed)
        else:
            found.append(Run((row,), followed))
    return found
