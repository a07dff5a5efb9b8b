"""Fates: what becomes of a record. Exactly one each, decided in the order of the numbers."""

from dataclasses import dataclass
from enum import IntEnum


class Fate(IntEnum):
    """The fate of one record; offsets without a record are `absent` and have no fate."""

    DEAD = 1
    LATE = 2
    DUPLICATE = 3
    COUNTED = 4


@dataclass(frozen=True, slots=True)
class Fates:
    """How many offsets of a range met each fate; they add up to the length of the range."""

    counted: int = 0
    duplicate: int = 0
    late: int = 0
    dead: int = 0
    absent: int = 0

    @property
    def total(self) -> int:
        """Offsets covered: position - start of the range."""
        return self.counted + self.duplicate + self.late + self.dead + self.absent
