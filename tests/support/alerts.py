"""The rules for Prometheus: alerts, recorded series, and the metrics that their expressions ask for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser as promql
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


def selectors(expression: str) -> Iterator[promql.VectorSelector]:
    """Every selector of an expression. Raises ValueError if it is not PromQL."""
    yield from _selectors(promql.parse(expression))


def _selectors(node: Any) -> Iterator[promql.VectorSelector]:
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case promql.Call():
            for each in node.args:
                yield from _selectors(each)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _selectors(node.expr)
