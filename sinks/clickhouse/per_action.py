"""SQL that has a part for each action: columns and sums of roll-ups and views."""

from collections.abc import Iterable
from typing import Final

from pintally.schemas.actions import Action


def each(template: str, separator: str = ", ", actions: Iterable[Action] = Action) -> str:
    """The template once for each action, with its {number}, {label}, {column}, {heading} and {Heading}."""
    return separator.join(
        template.replace("{number}", str(action.value))
        .replace("{label}", action.label)
        .replace("{column}", action.column)
        .replace("{heading}", action.heading)
        .replace("{Heading}", action.heading.capitalize())
        for action in actions
    )


COLUMNS: Final = tuple(action.column for action in Action)
TRUSTED: Final = tuple(f"trusted_{column}" for column in COLUMNS)
COUNTED: Final = (*COLUMNS, *TRUSTED)  # of each row: events, and those of them that are trusted
COUNTS: Final = ", ".join(COUNTED)
TOTAL: Final = " + ".join(COLUMNS)
TRUSTED_TOTAL: Final = " + ".join(TRUSTED)


def each_count(template: str, separator: str = ", ") -> str:
    """The template once for each column of counts, with its {count}: events of all actions, then trusted ones."""
    return separator.join(template.replace("{count}", count) for count in COUNTED)


# Rows of counts out of cells, and check sums. WEIGHT is of a trusted count beside a count: any odd number but 1.
WEIGHT: Final = 1_000_003
OF_CELLS: Final = f"""{each("sumIf(events, action = {number}) AS {column}")},
    {each("sumIf(trusted, action = {number}) AS trusted_{column}")}"""
OF_CELL: Final = f"(events + {WEIGHT} * trusted)"
OF_ACTION: Final = f"({{column}} + {WEIGHT} * trusted_{{column}})"  # the same of a row, for `each`
