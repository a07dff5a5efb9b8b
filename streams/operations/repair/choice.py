"""Which slices to repair, and the result of a repair."""

from dataclasses import dataclass, field

from pintally.schemas.sources import Source
from pintally.streams.operations.repair.rewrite import Repaired
from pintally.streams.operations.repair.segments import Segment

Name = tuple[int, int]  # slice_block, arrived_at


@dataclass(frozen=True, slots=True)
class Choice:
    """Which slices to recount: those that SQL finds wrong, and those that are named here."""

    every: bool = False
    sources: frozenset[str] = frozenset()  # topic[partition]: all of their slices
    slices: frozenset[tuple[str, Name]] = frozenset()
    only_named: bool = False  # only the named ones, without asking SQL

    def names(self, source: Source, segment: Segment) -> bool:
        """Whether a segment is named."""
        name = str(source)
        return self.every or name in self.sources or (segment.name is not None and (name, segment.name) in self.slices)

    def touches(self, source: Source) -> bool:
        """Whether a source or one of its slices is named."""
        return self.every or str(source) in self.sources or any(name == str(source) for name, _ in self.slices)


@dataclass(slots=True)
class Repair:
    """The result of a repair: what was done, and what could not be done."""

    folded: int = 0  # slices
    repaired: list[Repaired] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # orphaned rows: of slices that the log does not have
    gone: list[str] = field(default_factory=list)  # slices that the log no longer holds
    waiting: list[str] = field(default_factory=list)  # slices that a worker must count first
    opened: list[str] = field(default_factory=list)  # windows that did not add up: the next sealing writes them anew
    before_cut: list[str] = field(default_factory=list)  # sources that have not reached the newest cut

    @property
    def exit_code(self) -> int:
        """0 done, 2 if something is left that could not be repaired."""
        return 2 if self.gone or self.waiting else 0
