"""The SQL of `sinks/clickhouse/schema`: numbered files are applied once, the others at each `pintally migrate`.

What differs from action to action is filled in here, what differs between one server and a cluster in `layout`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pintally.schemas.actions import Action
from pintally.schemas.cells import CELL_TABLES, CellRows
from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout
from pintally.sinks.clickhouse.per_action import each

SCHEMA: Final = Path(__file__).parent / "schema"
ONCE: Final = tuple(sorted(path.name for path in SCHEMA.glob("[0-9]*.sql")))
READ: Final = (
    "views.sql",
    "breakdowns.sql",
    "users.sql",
    "features.sql",
    "tops.sql",
    "experiments.sql",
)  # the views that readers may read
REPEATABLE: Final = (*READ, "arm_users.sql", "superseded.sql")  # in this order
# Of views: a line {name} in a script is the text of parts/name.sql.
PARTS: Final = (
    "sealed_hours", "sealed_days", "labelled_days", "feature_columns", "features_at_a_cut", "answers_are_whole",
    "analyzer_is_new"
)  # fmt: skip
# Of top pins: a statement with {window} stands once for each, with {window_words}.
WINDOWS: Final = {
    "today": "today so far (UTC)",
    "24h": "the last 24 hours",
    "1h": "the last hour",
    "10m": "the last ten minutes",
}
USERS: Final = ("{}_users", "{}_state", "unflagged_{}")  # columns of an action, where users are counted
# Of a table of cells `c`: keeps the superseded ones, each joined to its row `s` of the view superseded_slices.
SUPERSEDED: Final = """INNER JOIN superseded_slices AS s
    ON c.source = s.source AND toUInt32(bitShiftRight(c.version, 48)) = s.epoch
WHERE if(s.inside, bitAnd(c.version, 281474976710655) > s.start,
    c.slice_block > s.slice_block OR (c.slice_block = s.slice_block AND c.arrived_at >= s.arrived_at))"""


def superseded_cells(kind: type[CellRows]) -> str:
    """The superseded rows of a table of cells, as the view `superseded_cells` shows them."""
    pin = "c.pin_id" if "pin_id" in kind.key else "toUInt64(0)"
    return f"""SELECT '{kind.table}' AS table, toStartOfHour(c.{kind.window}) AS hour, c.source AS source,
    s.epoch AS epoch, c.slice_block AS slice_block, c.arrived_at AS arrived_at, c.action AS action,
    c.{kind.window} AS window_start, {pin} AS pin_id, c.{kind.values()[0]} AS events, c.version AS version
FROM {kind.table} AS c
{SUPERSEDED}"""


def script_of(name: str) -> str:
    """A file's text without its comments, with its parts, and with a statement for each window."""
    text = re.sub(r"^--.*\n", "", (SCHEMA / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    parts = rf"^\{{({'|'.join(PARTS)})\}}\n"
    text = re.sub(parts, lambda part: script_of(f"parts/{part[1]}.sql"), text, flags=re.MULTILINE)
    return "".join(of for each in re.split(r"(?<=;\n)", text) for of in _of_windows(each))


def _of_windows(statement: str) -> Iterable[str]:
    if "{window}" not in statement:
        return [statement]
    return [statement.replace("{window}", name).replace("{window_words}", said) for name, said in WINDOWS.items()]


def statements(script: str, actions: Iterable[Action] = Action, layout: Layout = ONE_SERVER) -> list[str]:
    """The statements of a script, filled in.

    A line with {column} or {number} stands once for each action, a line with {label} for each but close-ups.
    """
    actions = tuple(actions)
    values = {
        "columns": each("{column}", ", ", actions),
        "counts": ", ".join(each(name, ", ", actions) for name in ("{column}", "trusted_{column}")),
        "users": each("{column}_users", ", ", actions),
        "unflagged": each("unflagged_{column}", ", ", actions),
        "total": each("{column}", " + ", actions),
        "total_of_sums": each("s{number}", " + ", actions),
        "total_of_trusted": each("t{number}", " + ", actions),
        "total_1h": each("{column}_1h", " + ", actions),
        "total_7d": each("{column}_7d", " + ", actions),
        "actions": ", ".join(f"{action.value} {action.label}" for action in actions),
        "family": layout.family,
        "on_cluster": layout.on_cluster,
        "superseded_cells": "\nUNION ALL\n".join(map(superseded_cells, CELL_TABLES)),
    }
    rated = tuple(action for action in actions if action is not Action.CLOSEUP)
    text = re.sub(r"^.*\{label\}.*$", lambda line: each(line[0], "\n", rated), script, flags=re.MULTILINE)
    text = re.sub(r"^.*\{(?:column|number)\}.*$", lambda line: each(line[0], "\n", actions), text, flags=re.MULTILINE)
    text = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)
    return [layout.made(part.strip()) for part in re.split(r";$", text, flags=re.MULTILINE) if part.strip()]


def added_columns(script: str, there: set[tuple[str, str]], layout: Layout = ONE_SERVER) -> Iterator[str]:
    """Statements that give tables the columns of actions that came later. `there`: (table, column) that there are."""
    known = {table for table, _ in there}
    forms = ("{}", "trusted_{}", "{}_7d", "{}_30d", "trusted_{}_7d", "trusted_{}_30d", *USERS)
    columns = {form.format(action.column) for action in Action for form in forms}
    for statement in statements(script):
        table = statement.removeprefix("CREATE TABLE IF NOT EXISTS ").split(maxsplit=1)[0]
        for column, definition in re.findall(r"^    (\w+) (.*?),?$", statement, re.MULTILINE):
            if table in known and column in columns and (table, column) not in there:
                yield f"ALTER TABLE {table}{layout.on_cluster} ADD COLUMN IF NOT EXISTS {column} {definition}"


def tables() -> tuple[str, ...]:
    """The tables that counting and sealing write: all of the numbered files."""
    scripts = "".join(map(script_of, ONCE))
    return tuple(re.findall(r"^CREATE TABLE IF NOT EXISTS (\w+)", scripts, re.MULTILINE))


def views_of_readers() -> tuple[str, ...]:
    """The views that readers may read."""
    scripts = "".join(map(script_of, READ))
    return tuple(re.findall(r"^CREATE OR REPLACE VIEW (\w+)", scripts, re.MULTILINE))
