"""docs/log.md has each line that our code may log from INFO on, with its level, and each field."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pintally.streams.log.fields import FIELDS
from tests.support.readme import LOG, fields, with_tables

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "streams", "sinks", "pintally/serve")
LEVELS = {"info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "CRITICAL"}
GIVEN = {"extra", "exc_info"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Level and call of each line."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                    yield ast.unparse(node.func).removeprefix("log."), node


def sentence(call: ast.Call) -> str:
    """As the page has it. Fails if it is put together before it is logged: lines of one kind have one sentence."""
    text = ast.literal_eval(call.args[0])
    return re.sub(r"\.{4,}", "...", re.sub(r"%[\d.]*[a-z]", "...", text))


def documented() -> dict[str, str]:
    """Line -> level."""
    return {line: level for level, line in re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \|", LOG.read_text(), re.MULTILINE)}


def test_the_page_has_each_line_with_its_level_and_no_other() -> None:
    said = {shortened(sentence(call)): LEVELS[level] for level, call in calls() if level in LEVELS}
    assert said == documented()


def shortened(line: str) -> str:
    """Without the command that a line ends with: it cannot stand in quotes there."""
    return re.sub(r"; `.*", "; ...", line)


def test_lines_have_no_field_that_is_not_listed() -> None:
    given = {
        ast.literal_eval(key)
        for _, call in calls()
        for keyword in call.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
        for key in keyword.value.keys
        if key
    }
    assert {keyword.arg for _, call in calls() for keyword in call.keywords} <= GIVEN
    assert given | {"left_out", "exception"} == FIELDS.keys()


def test_the_table_of_fields_is_that_of_the_code() -> None:
    assert LOG.read_text() == with_tables(LOG.read_text(), fields()), "run `make readme`"
