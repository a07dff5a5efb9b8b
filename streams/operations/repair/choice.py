"""Which slices a repair folds, and what came of it."""

from dataclasses import dataclass, field

from pintally.schemas.sources import Source
from pintally.streams.operations.repair.rewrite import Mended
from pintally.streams.operations.repair.segments import Segment

Name = tuple[int, int]  # slice_block, arrived_at


@dataclass(frozen=True, slots=True)
class Choice:
    """Which slices to fold: those that SQL finds wrong, and what is named here."""

    every: bool = False
    sources: frozenset[str] = frozenset()  # topic[partition]: all of their slices
    slices: frozenset[tuple[str, Name]] = frozenset()
    only_named: bool = False  # SQL is not asked for more

    def names(self, source: Source, segment: Segment) -> bool:
        """Whether a segment was asked for by name."""
        name = str(source)
        return self.every or name in self.sources or (segment.name is not None and (name, segment.name) in self.slices)

    def touches(self, source: Source) -> bool:
        """Whether anything of a source was asked for by name."""
        return self.every or str(source) in self.sources or any(name == str(source) for name, _ in self.slices)


@dataclass(slots=True)
class Repair:
    """What was done, and what could not be."""

    folded: int = 0  # slices
    mended: list[Mended] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # rows of slices that the log does not have
    gone: list[str] = field(default_factory=list)  # the log no longer holds them
    waiting: list[str] = field(default_factory=list)  # a worker must come first

    @property
    def exit_code(self) -> int:
        """0 done, 2 if something is left that could not be mended."""
        return 2 if self.gone or self.waiting else 0
