"""What a panel shows, in the few words that both dashboards need; `layout.py` makes Grafana's panels of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HALF: Final = 12  # of the 24 columns of a dashboard
THIRD: Final = 8
SIXTH: Final = 4


class Kind(StrEnum):
    """How a panel draws its answers."""

    LINES = "lines"
    STACK = "stack"
    NUMBER = "number"  # the last value
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a data source: PromQL or SQL. `legend` names its series; {{label}} stands for a label."""

    text: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's name of it; from the values of `warn` and `bad` on, a number is yellow or red."""

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    unit: str = "short"
    width: int = THIRD
    warn: float | None = None
    bad: float | None = None
    least: float | None = 0.0  # the foot of the axis; None: as the values are
    most: float | None = None  # its top, where it is known


@dataclass(frozen=True, slots=True)
class Row:
    """A row with a title, and its panels."""

    title: str
    panels: tuple[Panel, ...]


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = THIRD, most: float | None = None
) -> Panel:
    """A panel of lines over time."""
    return Panel(title, description, queries, Kind.LINES, unit, width, most=most)


def stack(title: str, description: str, unit: str, *queries: Query, width: int = THIRD) -> Panel:
    """A panel of areas that add up."""
    return Panel(title, description, queries, Kind.STACK, unit, width)


def number(
    title: str, description: str, unit: str, query: str, *, warn: float | None = None, bad: float | None = None
) -> Panel:
    """One number."""
    return Panel(title, description, (Query(query),), Kind.NUMBER, unit, SIXTH, warn, bad)


def table(title: str, description: str, *queries: Query, width: int = HALF) -> Panel:
    """A table of the last answer."""
    return Panel(title, description, queries, Kind.TABLE, "none", width)
