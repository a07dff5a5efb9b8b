"""What pins are sorted by: events, or trusted events, of one action or of all."""

from dataclasses import dataclass
from typing import Final

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTED, TOTAL, TRUSTED_TOTAL

Counts = tuple[int, ...]  # as per_action.COUNTED names them


@dataclass(frozen=True, slots=True)
class Ranking:
    """One count, or all of a kind together. `action` is None for all actions."""

    action: Action | None = None
    trusted: bool = False

    @property
    def column(self) -> str:
        """The column of `hour_tops` and `tile_tops` that has it."""
        if self.action is None:
            return "trusted" if self.trusted else "events"
        return f"trusted_{self.action.column}" if self.trusted else self.action.column

    @property
    def sql(self) -> str:
        """The same of a row of counts."""
        if self.action is None:
            return TRUSTED_TOTAL if self.trusted else TOTAL
        return self.column

    def of(self, counts: Counts) -> int:
        """The same of these counts."""
        if self.action is not None:
            return counts[COUNTED.index(self.column)]
        events, trusted = counts[: len(COLUMNS)], counts[len(COLUMNS) :]
        return sum(trusted if self.trusted else events)


# By the names that people give them.
RANKINGS: Final = {
    "all": Ranking(),
    **{action.column: Ranking(action) for action in Action},
    "trusted": Ranking(trusted=True),
    **{f"trusted_{action.column}": Ranking(action, trusted=True) for action in Action},
}
