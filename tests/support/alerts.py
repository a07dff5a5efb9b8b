"""The rules for Prometheus: alerts and recorded series."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "pintally.rules.yml"
TESTS = sorted(FOLDER.glob("*.test.yml"))


@dataclass(frozen=True)
class Alert:
    """One rule that fires. Two rules may have one name, if their labels differ."""

    name: str
    expression: str
    waits: str | None  # `for`
    labels: dict[str, str]
    annotations: dict[str, str] = field(hash=False)

    @property
    def anchor(self) -> str:
        """Of its section in docs/runbook.md, as Markdown makes it from the heading."""
        return self.name.lower()


def read_groups() -> list[dict[str, Any]]:
    """Returns the groups of rules, as the file has them."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return groups


def alerts() -> list[Alert]:
    """Returns all alerts, in the order of the file."""
    rules = [rule for group in read_groups() for rule in group["rules"] if "alert" in rule]
    return [
        Alert(rule["alert"], rule["expr"], rule.get("for"), rule.get("labels", {}), rule.get("annotations", {}))
        for rule in rules
    ]


def recorded() -> dict[str, str]:
    """Returns the expression of each recorded series."""
    return {rule["record"]: rule["expr"] for group in read_groups() for rule in group["rules"] if "record" in rule}
