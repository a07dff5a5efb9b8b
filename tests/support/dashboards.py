"""What Grafana and its plugin of ClickHouse do to a query before they ask it, as far as our dashboards use it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "grafana" / "dashboards"


@dataclass(frozen=True)
class Asked:
    """One query of a panel."""

    panel: str
    query: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.panel}: {self.query}"


def dashboard(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def panels(name: str) -> list[dict[str, Any]]:
    """All that draw something."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[Asked]:
    for panel in panels(name):
        for target in panel["targets"]:
            query = target["expr"] if "expr" in target else target["rawSql"]
            yield Asked(panel["title"], query, bool(target.get("instant")))


def promql(text: str, topic: str = ".+", rate: str = "1m") -> str:
    """PromQL as Prometheus gets it."""
    return text.replace("$topic", topic).replace("$__rate_interval", rate)


def sql(text: str, begin: int, end: int, pin: str) -> str:
    """SQL as ClickHouse gets it: seconds since 1970, and a pin. Macros: pkg/macros/macros.go of the plugin."""
    text = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 >= toDateTime({begin}) AND \1 <= toDateTime({end})", text)
    return text.replace("${pin:singlequote}", f"'{pin}'")
