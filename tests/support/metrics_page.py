"""docs/metrics.md: every metric, made from schemas/metrics.py by `make readme`; a test compares."""

from collections.abc import Iterable
from pathlib import Path

from pintally.schemas.metrics import SERVE, WORKER, Metric
from tests.support.readme import with_tables

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def tables() -> dict[str, str]:
    """Name of the table, as its marks in the page have it -> its lines."""
    return {"worker": table(WORKER), "serve": table(SERVE)}


def table(metrics: Iterable[Metric]) -> str:
    """Each metric, its type and labels, and what it says."""
    rows = [f"| `{each.name}` | {each.kind} | {labels(each)} | {each.help} |" for each in metrics]
    return "\n".join(["| Metric | Type | Labels | What it says |", "|---|---|---|---|", *rows])


def labels(metric: Metric) -> str:
    """The names of its labels."""
    return ", ".join(f"`{label}`" for label in metric.labels)


def page() -> str:
    """The page as it should be."""
    return with_tables(PAGE.read_text(), tables())


if __name__ == "__main__":
    PAGE.write_text(page())
