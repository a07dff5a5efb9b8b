"""The section of docs/performance.md about the cost of each aggregate, from bench/results/aggregates.json."""

from collections.abc import Sequence
from pathlib import Path

from bench.aggregates import ARMS, MEMBERS_OF_ARMS, SIX, UNITS
from bench.figures import Kept, quantity
from bench.report import table

SAID = """The same log, counted and sealed with some of the aggregates and with all. The first row is with all of them
off. Events that name the arms of six experiments are larger: compare those with the first row of such events. Members
of arms are counted where users and experiments are, so the last rows say what both add together beyond what each adds
alone. The CPU of the worker is that of one more event; that of ClickHouse holds what each insert and each statement
costs, so it is higher than with a longer log."""


def section(at: Path, nothing: str) -> str:
    """A row for each arm, with what it adds to the first of its log; `nothing` if nothing was measured."""
    path = at / "aggregates.json"
    if not path.exists():
        return nothing
    found = Kept.from_json(path.read_text())
    names = [arm.name for arm in ARMS if found.find(figure(arm.name, "worker")) is not None]
    shapes = {arm.name: arm.shape for arm in ARMS}
    first = {shapes[name]: name for name in reversed(names)}
    rows = [[name, *(cell(found, name, first[shapes[name]], what) for what in UNITS)] for name in names]
    rows += [[name, *(f"{beyond(found, arm, what):+.2f}" for what in UNITS)] for name, arm in of_members(names)]
    titles = ("Counted", *(f"{words}, {unit}" for words, unit in UNITS.values()))
    about = ", ".join(f"{name} {value:,}" for name, value in found.parameters.items())
    where = f"{found.machine['cpu']}, {found.machine['cores']} cores"
    load = " to ".join(f"{each:.1f}" for each in found.load)
    made = f"{found.began}, commit {found.versions['commit']}; {where}; load {load}; {about}."
    return f"{SAID}\n\n{table(titles, rows)}\n\n{made}"


def of_members(names: Sequence[str]) -> list[tuple[str, str]]:
    """The rows of members of arms of which all was measured, each with the arm without users."""
    needed = {each: {SIX, f"{SIX}, and users", each, f"{each}, and users"} for each in MEMBERS_OF_ARMS.values()}
    return [(name, each) for name, each in MEMBERS_OF_ARMS.items() if needed[each] <= set(names)]


def beyond(found: Kept, arm: str, what: str) -> float:
    """What users and experiments add together, less what users alone and experiments alone do."""
    both, alone = (found.value(figure(f"{each}, and users", what)) for each in (arm, SIX))
    return both - found.value(figure(arm, what)) - alone + found.value(figure(SIX, what))


def figure(arm: str, what: str) -> str:
    """The name of a figure."""
    return f"{arm}: {UNITS[what][0]}"


def cell(found: Kept, arm: str, first: str, what: str) -> str:
    """What was measured, and how much more that is than in the first arm."""
    value, base = found.value(figure(arm, what)), found.value(figure(first, what))
    return quantity(value) if arm == first else f"{quantity(value)} ({value - base:+.2f})"
