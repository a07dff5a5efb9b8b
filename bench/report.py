"""Results as a table in Markdown: medians with their spread, and what was asked for."""

from statistics import median

from bench.measured import Measured
from bench.outcome import Results

TITLES: dict[str, str] = {}


def markdown(results: Results) -> str:
    """The whole report."""
    names = dict.fromkeys(each.contestant for each in results.runs)
    rows = [row(results.of(name)) for name in names]
    return "\n".join(["| Contestant | n | events per CPU-s (min-max) | correct |", "|---|---|---|---|", *rows, ""])


def row(runs: list[Measured]) -> str:
    """One contestant."""
    rates = [each.per_cpu_second for each in runs]
    correct = {True: "yes", False: "no", None: "-"}[runs[0].correct]
    spread = f"{median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
    return f"| {runs[0].contestant} | {len(runs)} | {spread} | {correct} |"
