"""What the tables and views hold, as their comments in `sinks/clickhouse/schema` say it. Asks no server."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pintally.sinks.clickhouse.scripts import ONCE, READ, REPEATABLE, script_of, statements

MADE = re.compile(r"CREATE (?:TABLE IF NOT EXISTS|OR REPLACE VIEW) (\w+)[^(]*\(\n(.*?)^\)", re.DOTALL | re.MULTILINE)
COLUMN = re.compile(r"^ +`?(\w+)`? (.+?)(?: (?:DEFAULT|ALIAS) .+?)? COMMENT '((?:[^'\\]|''|\\.)*)'", re.MULTILINE)
SAID = re.compile(r"^COMMENT '((?:[^'\\]|''|\\.)*)'\Z", re.MULTILINE)
PARAMETER = re.compile(r"\{(\w+):([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or a view."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Described:
    """A table or a view; `parameters` are names and types of what a view must be given in brackets.

    They are in the order in which the comment gives them.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    parameters: tuple[tuple[str, str], ...] = ()


@cache
def views() -> dict[str, Described]:
    """The views that readers may read, by name, in the order of the scripts."""
    return {each.name: each for file in READ for each in _described(file)}


@cache
def every_view() -> dict[str, Described]:
    """All views by name, also those that are not for readers."""
    return {each.name: each for file in REPEATABLE for each in _described(file)}


@cache
def tables() -> dict[str, Described]:
    """The tables behind them, by name."""
    return {each.name: each for file in ONCE for each in _described(file)}


def _described(file: str) -> Iterator[Described]:
    for statement in statements(script_of(file)):
        if made := MADE.match(statement):
            said = SAID.search(statement)
            columns = tuple(Column(name, kind, _plain(text)) for name, kind, text in COLUMN.findall(made[2]))
            comment = _plain(said[1]) if said else ""
            found = dict.fromkeys(PARAMETER.findall(statement))
            parameters = tuple(sorted(found, key=lambda each: comment.find(f"{each[0]} = ")))
            yield Described(made[1], comment, columns, parameters)


def _plain(text: str) -> str:
    return text.replace("''", "'").replace("\\'", "'").replace("\\\\", "\\")
