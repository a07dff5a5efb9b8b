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
NAMES: Final = each("{column}")
COUNTS: Final = ", ".join((*COLUMNS, *TRUSTED))  # of roll-ups: events, and those of them that are trusted
