"""What the Helm chart says of its values, made from the settings and from the comments of values.yaml.

`make readme` writes the settings in values.yaml, values.schema.json and the table in the chart's README.md.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pintally.streams.settings import GROUPS, SETTINGS
from tests.support.readme import shown, with_tables

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "pintally"
VALUES, SCHEMA, PAGE = CHART / "values.yaml", CHART / "values.schema.json", CHART / "README.md"
BEGIN, END = "  # settings: written by `make readme`\n", "  # end of settings\n"
OF_THE_CHART = {  # set by the templates: each pod's name, ports, and the address of all workers
    "kafka_group_instance_id", "metrics_host", "metrics_port", "serve_host", "serve_port", "serve_workers",
}  # fmt: skip
SECRETS = {"kafka_password", "clickhouse_password", "user_key"}
NEEDED = ("kafka_bootstrap_servers", "clickhouse_host")  # loopback, the default, is never right in a pod
SET = dict.fromkeys(NEEDED, '""') | {
    "session_timeout_seconds": "30 # longer than a pod takes to be replaced: then an upgrade moves no partition",
    "log_format": "json",
}
BOUNDS: dict[str, dict[str, Any]] = {
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "worker.podManagementPolicy": {"enum": ["OrderedReady", "Parallel"]},
    "worker.terminationGracePeriodSeconds": {"minimum": 15},
    "worker.podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "serve.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "autoscaling.minReplicas": {"minimum": 1},
    "autoscaling.lagRecords": {"minimum": 1},
    "monitoring.rules.runbookUrl": {"pattern": "^(https?://.*/)?$"},
}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """A value of the chart: where it stands, its default, and its comment."""

    path: str
    default: Any
    meaning: str


def settings_lines() -> str:
    """Every setting that is no password and not the chart's own: set, or a comment with the program's default."""
    lines = []
    for name, each in SETTINGS.items():
        if name in OF_THE_CHART | SECRETS:
            continue
        default = shown(each.field.default).strip("`") or '""'
        lines.append(f"  {name}: {SET[name]}" if name in SET else f"  # {name}: {default}")
    return "\n".join(lines) + "\n"


def with_settings(text: str) -> str:
    """values.yaml with the settings written again."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + settings_lines() + END + rest.partition(END)[2]


def values(text: str) -> list[Value]:
    """Each line of values.yaml that names a value under a comment of its own."""
    return list(_values(with_settings(text).replace(settings_lines(), ""), yaml.safe_load(text)))


def _values(text: str, defaults: Any) -> Iterator[Value]:
    above: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if found := re.fullmatch(r"( *)(\w+):.*", line):
            above = [*above[: len(found[1]) // 2], found[2]]
            if comment:
                yield Value(".".join(above), _at(defaults, above), " ".join(comment))
        comment = [*comment, line.strip("# ")] if line.lstrip().startswith("#") else []


def _at(defaults: Any, path: list[str]) -> Any:
    for name in path:
        defaults = defaults[name]
    return defaults


def schema(text: str) -> dict[str, Any]:
    """JSON Schema of the values: their types, and no other names."""
    given = {value.path: value for value in values(text)}
    made = _object(yaml.safe_load(text), "", given)
    settings = made["properties"]["settings"] = settings_schema()
    made["properties"]["migrate"]["properties"]["settings"] = settings | {"required": []}
    needed = {name: settings["properties"][name] | {"minLength": 1} for name in NEEDED}
    made["properties"]["settings"] = settings | {
        "properties": settings["properties"] | needed,
        "required": list(NEEDED),
    }
    made["properties"]["global"] = {"type": "object"}  # Helm's own
    return {"$schema": "http://json-schema.org/draft-07/schema#"} | made


def _object(defaults: dict[str, Any], path: str, given: dict[str, Value]) -> dict[str, Any]:
    properties = {}
    for name, default in defaults.items():
        place = f"{path}{name}"
        inner = isinstance(default, dict) and any(other.startswith(f"{place}.") for other in given)
        one: dict[str, Any] = _object(default, f"{place}.", given) if inner else {"type": TYPES[type(default)]}
        if one["type"] == "integer":
            one["minimum"] = 0
        one |= BOUNDS.get(place, {})
        properties[name] = one | ({"description": given[place].meaning} if place in given else {})
    return {"type": "object", "additionalProperties": False, "properties": properties}


def settings_schema() -> dict[str, Any]:
    """Every setting that may stand in values, with the bounds that the program has for it."""
    fields = {group: of.model_json_schema()["properties"] for group, of in GROUPS.items()}
    made = {}
    for name, each in SETTINGS.items():
        if name not in OF_THE_CHART | SECRETS:
            field = fields[each.group][each.name]
            kept = {key: value for key, value in field.items() if key not in ("title", "default")}
            made[name] = kept | ({"type": [kept["type"], "null"]} if "type" in kept and "enum" not in kept else {})
    return {"type": "object", "additionalProperties": False, "properties": made}


def page(text: str, values_text: str) -> str:
    """README.md of the chart with its table written again."""
    rows = [
        f"| `{each.path}` | `{json.dumps(each.default)}` | {each.meaning} |"
        for each in values(values_text)
        if each.path != "settings" and not _has_inner(each, values_text)
    ]
    table = "\n".join(["| Value | Default | Meaning |", "|---|---|---|", *rows])
    return with_tables(text, {"values": table})


def _has_inner(value: Value, text: str) -> bool:
    return any(other.path.startswith(f"{value.path}.") for other in values(text))


def schema_text(text: str) -> str:
    """values.schema.json as it is written."""
    return json.dumps(schema(text), indent=1) + "\n"


if __name__ == "__main__":
    VALUES.write_text(with_settings(VALUES.read_text()))
    SCHEMA.write_text(schema_text(VALUES.read_text()))
    PAGE.write_text(page(PAGE.read_text(), VALUES.read_text()))
