"""The errors that a worker's start can end with, read from the code: first words, exit code, remedy."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pintally.schemas.errors import PintallyError

ROOT = Path(__file__).parent.parent.parent
# Every file in which a worker's start, or `migrate` before it, may meet what a person must mend.
AT_START = (
    "streams/kafka/clients.py",
    "streams/kafka/reach.py",
    "streams/kafka/protocol.py",
    "streams/kafka/admin.py",
    "streams/kafka/needed_rights.py",
    "streams/kafka/rights.py",
    "streams/kafka/errors.py",
    "streams/kafka/topics.py",
    "sinks/clickhouse/server_version.py",
    "sinks/clickhouse/wrong_protocol.py",
    "sinks/clickhouse/errors.py",
    "sinks/clickhouse/rights.py",
    "sinks/clickhouse/row_policies.py",
    "sinks/clickhouse/migrate.py",
    "sinks/clickhouse/shards.py",
    "sinks/clickhouse/engines.py",
    "sinks/clickhouse/barrier.py",
    "sinks/clickhouse/replicas.py",
    "streams/counting/refusals.py",
    "schemas/rules.py",
    "streams/kafka/known_topics.py",
)
WORDS = 110  # characters of a message that the table shows


@dataclass(frozen=True)
class Said:
    """One error as the code says it; what differs from case to case is an ellipsis."""

    file: str
    what: str
    remedy: str
    exit_code: int


def said_at_start() -> list[Said]:
    """All of them, file by file, in their order there."""
    return [each for file in AT_START for each in said_in(file)]


def said_in(file: str) -> list[Said]:
    """All that one file of ours may say."""
    return list(_said(file))


def _said(file: str) -> Iterator[Said]:
    module = import_module(
        "pintally." + file.removeprefix("pintally/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    tree = ast.parse((ROOT / file).read_text())
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.JoinedStr)
    }
    for call in sorted(
        (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)),
        key=lambda node: node.lineno,
    ):
        kind = getattr(module, call.func.id, None) if isinstance(call.func, ast.Name) else None
        if not (isinstance(kind, type) and issubclass(kind, PintallyError)) or not call.args:
            continue
        what, remedy = (_text(node, named) for node in [*call.args, ast.Constant("")][:2])
        if re.search(r"[a-z]{3}", what):  # else the words are made elsewhere
            yield Said(file, what, remedy, kind.exit_code)


def _text(node: ast.expr, named: Mapping[str, ast.expr]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) if name in named:
            return _text(named[name], named)
        case ast.JoinedStr(values=parts):
            text = "".join(_text(part, named) for part in parts)
            return re.sub(r"(\.\.\.[^\w`]*){2,}", "... ", text).strip()
        case ast.FormattedValue(value=value):
            return _text(value, named)
        case _:
            return "..."


def shortened(text: str, most: int = WORDS) -> str:
    """The beginning, whole words, with an ellipsis where something is left out."""
    if len(text) <= most:
        return text
    return text[:most].rsplit(" ", 1)[0].rstrip(" ,:;(") + " ..."
