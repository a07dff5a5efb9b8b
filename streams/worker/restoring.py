"""How far sources that were assigned are folded again. Pure; times are monotonic seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import nan

from pintally.schemas.sources import Source
from pintally.streams.counting.fold import SourceFold


@dataclass(slots=True)
class Restoring:
    """The last assignment: from its beginning until every source had passed its flushed position."""

    assigning: bool = True  # nothing is given out yet, or the ledger is being read
    began: float | None = None
    seconds: float = nan  # what it took; NaN while it is under way, and before the first one
    ahead: dict[Source, int] = field(default_factory=dict)  # source -> position that its fold has not reached
    behind: set[Source] = field(default_factory=set)  # sources whose fold has not been at the end of its log yet

    @property
    def under_way(self) -> bool:
        """Whether sources are being assigned or folded again."""
        return self.assigning or bool(self.ahead)

    def begin(self, now: float) -> None:
        """The group gave out partitions."""
        self.assigning, self.began, self.seconds = True, now, nan
        self.ahead.clear()
        self.behind.clear()

    def expect(self, source: Source, flushed: int) -> None:
        """A source is restored once its fold has reached the position up to which it is flushed."""
        self.ahead[source] = flushed
        self.behind.add(source)

    def all_assigned(self) -> None:
        """All sources have a fold, and their partitions flow."""
        self.assigning = False

    def look(self, folds: Iterable[SourceFold], now: float) -> None:
        """Compare with where the folds are."""
        positions: Mapping[Source, int] = {fold.source: fold.position for fold in folds}
        self.ahead = {source: at for source, at in self.ahead.items() if positions.get(source, at) < at}
        if self.began is not None and not self.under_way:
            self.seconds, self.began = now - self.began, None

    def catch_up(self, ends: Iterable[tuple[SourceFold, int | None]]) -> bool:
        """Compare folds with the ends of their logs, None where that is not known yet. Whether none is behind now."""
        self.behind &= {fold.source for fold, end in ends if end is None or fold.position < end}
        return not self.behind
