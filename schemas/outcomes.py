"""Outcomes: what becomes of a record. Exactly one each, decided in the order of the numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """The outcome of one record; offsets without a record are `gaps` and have no outcome."""

    INVALID = 1
    LATE = 2
    DUPLICATE = 3
    COUNTED = 4


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many offsets of a range met each outcome; they add up to the length of the range."""

    counted: int = 0
    duplicate: int = 0
    late: int = 0
    invalid: int = 0
    gaps: int = 0

    @property
    def total(self) -> int:
        """Offsets covered: position - start of the range."""
        return self.counted + self.duplicate + self.late + self.invalid + self.gaps


OUTCOMES: Final = ("counted", "duplicate", "late", "invalid", "gaps")  # the fields of Outcomes


def sum_of(outcomes: Iterable[Outcomes]) -> Outcomes:
    """Returns the sums, outcome by outcome."""
    rows = [(each.counted, each.duplicate, each.late, each.invalid, each.gaps) for each in outcomes]
    return Outcomes(*map(sum, zip(*rows, strict=True))) if rows else Outcomes()
