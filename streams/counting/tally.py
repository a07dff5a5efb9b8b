"""How many records of a topic met each outcome in this process. Pure; only grows, whatever becomes of its sources."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pintally.schemas.dead_letters import UNREADABLE
from pintally.schemas.field_at_fault import field_of
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import DeadLetterRow


@dataclass(slots=True)
class Tally:
    """Numbers since the process began. What is folded again counts again."""

    counted: int = 0
    duplicate: int = 0
    late: int = 0
    invalid: int = 0
    gaps: int = 0
    restored: int = 0  # offsets that were flushed and had to be folded again
    fields: Counter[str] = field(default_factory=Counter)  # dead letters by the field at fault

    def add(self, outcomes: Outcomes) -> None:
        """Add the outcomes of a piece of a chunk."""
        self.counted += outcomes.counted
        self.duplicate += outcomes.duplicate
        self.late += outcomes.late
        self.invalid += outcomes.invalid
        self.gaps += outcomes.gaps

    def add_letters(self, letters: Iterable[DeadLetterRow]) -> None:
        """Add dead letters."""
        for letter in letters:
            unreadable = any(name == UNREADABLE for name, _ in letter.headers)
            self.fields[field_of(letter.reason, unreadable=unreadable)] += 1
