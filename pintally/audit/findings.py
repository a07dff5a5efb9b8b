"""Kinds of differences that the audit finds. Scripts may rely on their names."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds of differences between the log and ClickHouse."""

    COUNT_TOO_HIGH = "count_too_high"
    COUNT_TOO_LOW = "count_too_low"
    ROW_MISSING = "row_missing"
    ROW_EXTRA = "row_extra"
    VERSION_AHEAD = "version_ahead"  # a row claims a position that its log has not reached
    SUPERSEDED_ROW = "superseded_row"  # of an epoch that does not hold any more
    LEDGER_DIFFERS = "ledger_differs"
    LEDGER_EXTRA = "ledger_extra"
    SLICE_GAP = "slice_gap"
    START_DIFFERS = "start_differs"
    DEAD_LETTER_MISSING = "dead_letter_missing"
    DEAD_LETTER_EXTRA = "dead_letter_extra"
    DEAD_LETTER_DIFFERS = "dead_letter_differs"
    ROLLUP_DIFFERS = "rollup_differs"
    FEATURE_DIFFERS = "feature_differs"  # tables of features do not say what was known
    CUT_DIFFERS = "cut_differs"  # a cut is missing, or does not say what it must
    CUT_EARLY = "cut_early"  # a cut was published before every source had passed it
    SEALED_EARLY = "sealed_early"  # an hour was sealed while events could still count into it
    INVARIANT = "invariant"  # a condition that SQL alone can check


WRITTEN = ("surface", "platform", "experiment", "arm")  # by producers, so they may hold anything


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. Fields that do not apply are None. `start` and `end` are offsets of the slice or the range."""

    kind: Kind
    source: str  # topic[partition], or the table where no source applies
    found: int | str | None = None
    expected: int | str | None = None
    field: str | None = None  # the ledger's column, or the rule's name
    slice: str | None = None  # slice_block/arrived_at
    action: str | None = None
    minute: str | None = None  # UTC
    hour: str | None = None  # UTC
    pin: int | None = None
    surface: str | None = None
    platform: str | None = None
    experiment: str | None = None
    arm: str | None = None
    bucket: int | None = None  # of users
    table: str | None = None  # of the cell, unless that is pin_minutes
    start: int | None = None
    end: int | None = None
    arrived: str | None = None  # arrival bucket, UTC

    def __str__(self) -> str:
        facts = {name: value for name, value in asdict(self).items() if value is not None}
        kind, source = facts.pop("kind"), facts.pop("source")
        facts |= {name: repr(facts[name]) for name in WRITTEN if name in facts}
        return f"{kind}: {source} " + " ".join(f"{name}={value}" for name, value in facts.items())

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields that apply, for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


SHOWN = 20  # findings that are kept of each kind; the others are only counted


class Findings:
    """Counts all findings and keeps the first 20 of each kind."""

    def __init__(self) -> None:
        self.counts: dict[Kind, int] = {}
        self.shown: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count the finding; keep it if it is among the first of its kind."""
        self._count(finding.kind, 1)
        if self.counts[finding.kind] <= SHOWN:
            self.shown.append(finding)

    def merge(self, other: "Findings") -> None:
        """Add the findings of another audit."""
        for finding in other.shown:
            if sum(kept.kind == finding.kind for kept in self.shown) < SHOWN:
                self.shown.append(finding)
        for kind, count in other.counts.items():
            self._count(kind, count)

    def _count(self, kind: Kind, count: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count

    def __bool__(self) -> bool:
        return bool(self.counts)
