"""The section of docs/performance.md about tops and features, from bench/results/features.json."""

from dataclasses import replace
from pathlib import Path

from bench.figures import Figure, Kept, markdown, quantity, target
from bench.report import table

SAID = """Asked at 23:48 of a day, when nearly all of it is today. `bench/features_world.py` says what the tables hold.
Each answer was compared with the sum of the cells before it was timed. Compare CPU: times hold for the load that the
last line names. This machine is faster on some days than on others: "a fixed sum of hashes" tells by how much."""
LIMITED = """What limits them. Of one pin, ClickHouse plans two statements over six tables, which costs more than the
rows that it reads. Of 500 pins and of top pins it looks up each pin in each part of each table: a search of the index,
and a block of every column that it reads. So their cost grows with pins times parts. Lists of heavy rows, which a top
begins with, are read whole. What was flushed after the newest cut is read from all cells of the open hours, and merged
(FINAL). A table with all of a pin side by side would need fewer look-ups, but would be written anew each hour."""
COSTS = ("CPU of ClickHouse", "p50", "p95", "rows read")


def section(at: Path, nothing: str) -> str:
    """Questions in one table, everything else in another; `nothing` if nothing was measured."""
    path = at / "features.json"
    if not path.exists():
        return nothing
    found = Kept.from_json(path.read_text())
    named = {figure.name: figure for figure in found.figures}
    asked = [name.removesuffix(", p50") for name in named if name.endswith(", p50")]
    rows = [
        [f"{name} ({len(found.samples[name])} runs)", *(cell(named.get(f"{name}, {cost}")) for cost in COSTS)]
        for name in asked
    ]
    costs = {f"{name}, {cost}" for name in asked for cost in COSTS}
    rest = replace(found, figures=[figure for figure in found.figures if figure.name not in costs])
    return f"{SAID}\n\n{table(('Question', *COSTS), rows)}\n\n{LIMITED}\n\n{markdown(rest)}"


def cell(figure: Figure | None) -> str:
    """What was measured, and its target; bold where that is missed."""
    if figure is None:
        return "not measured"
    value = f"{quantity(figure.value)} {figure.unit}".removesuffix(" rows")
    value = f"**{value}**" if figure.met is False else value
    return f"{value} ({target(figure)})" if target(figure) else value
