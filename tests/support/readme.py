"""The tables of README.md and docs/ that are made from the code: `make readme` writes them, tests compare."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from pintally.cli import COMMANDS
from pintally.cli.exit_codes import EXIT_CODES
from pintally.schemas.metrics import SERVE, WORKER, Metric
from pintally.streams.kafka.needed_rights import table
from pintally.streams.log.fields import FIELDS
from pintally.streams.settings import SETTINGS
from pintally.streams.settings.variables import PASSWORDS, PREFIX

README = Path(__file__).parents[2] / "README.md"
SECURITY = README.parent / "docs" / "security.md"
LOG = README.parent / "docs" / "log.md"
METRICS = README.parent / "docs" / "metrics.md"


def tables() -> dict[str, str]:
    """Name of the table, as its marks in README.md have it -> its lines."""
    return {"commands": commands_table(), "settings": settings_table(), "exit codes": exit_codes_table()}


def rights() -> dict[str, str]:
    """The same of docs/security.md."""
    return {"rights": "\n".join(table())}


def fields() -> dict[str, str]:
    """The same of docs/log.md."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()]
    return {"fields": "\n".join(["| Field | Meaning |", "|---|---|", *rows])}


def metrics() -> dict[str, str]:
    """The same of docs/metrics.md."""
    return {"worker": metrics_table(WORKER), "serve": metrics_table(SERVE)}


def metrics_table(declared: Iterable[Metric]) -> str:
    """Each metric, its type and labels, and what it says."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |"
        for each in declared
    ]
    return "\n".join(["| Metric | Type | Labels | What it says |", "|---|---|---|---|", *rows])


def commands_table() -> str:
    """Each command and its summary."""
    rows = [f"| `pintally {name}` | {summary} |" for name, summary in COMMANDS.items()]
    return "\n".join(["| Command | What it does |", "|---|---|", *rows])


def exit_codes_table() -> str:
    """Each exit code and what it means."""
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["| Exit code | Meaning |", "|---|---|", *rows])


def settings_table() -> str:
    """Each variable, its default and what it means."""
    rows = []
    for name, (_, _, field) in SETTINGS.items():
        choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
        meaning = f"{field.description} One of {', '.join(choices)}." if choices else field.description
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown(field.default)} | {meaning} |")
    rows += [f"| `{PREFIX}{name}` |  | {meaning} |" for name, meaning in PASSWORDS.items()]
    return "\n".join(["| Variable | Default | Meaning |", "|---|---|---|", *rows])


def shown(default: Any) -> str:
    """A default as one writes it into a variable."""
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None or default == "":
        return ""
    return f"`{json.dumps(default) if isinstance(default, bool) else default}`"


def with_tables(text: str, made: Mapping[str, str] | None = None) -> str:
    """A document's text with each marked table made again; README's tables if none are given."""
    for name, lines in (tables() if made is None else made).items():
        begin, end = f"<!-- {name}: written by `make readme` -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{lines}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
    SECURITY.write_text(with_tables(SECURITY.read_text(), rights()))
    LOG.write_text(with_tables(LOG.read_text(), fields()))
    METRICS.write_text(with_tables(METRICS.read_text(), metrics()))
