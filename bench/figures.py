"""What a benchmark of limits leaves: figures beside their targets, samples, the machine. Written and read as JSON."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer

from bench.outcome import machine, now, versions
from pintally.streams.settings import Settings

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was measured, and its target where it has one."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is within its target; None without one."""
        if self.at_most is None and self.at_least is None:
            return None
        low = float("-inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        return low <= self.value <= high


@dataclass
class Kept:
    """Everything one run of one benchmark found."""

    benchmark: str
    began: str  # ISO 8601, UTC
    machine: dict[str, Any]
    versions: dict[str, str]
    load: list[float]  # of the machine over the last minute, when it began and when it ended
    parameters: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, list[Any]] = field(default_factory=dict)  # for plots
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, **target: float) -> None:
        """One more figure; `target` is at_most or at_least."""
        self.figures.append(Figure(name, round(value, 4), unit, **target))
        typer.echo("  " + describe(self.figures[-1]), err=True)

    def value(self, name: str) -> float:
        """A figure by its name. Raises KeyError."""
        found = self.find(name)
        if found is None:
            raise KeyError(f"{self.benchmark} has no figure {name!r}")
        return found

    def find(self, name: str) -> float | None:
        """A figure by its name, None if there is none."""
        return next((figure.value for figure in self.figures if figure.name == name), None)

    def to_json(self) -> str:
        """Everything, `met` included for readers of the JSON."""
        whole = asdict(self) | {"figures": [asdict(each) | {"met": each.met} for each in self.figures]}
        return json.dumps(whole, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Kept":
        """Read what `to_json` wrote. Raises KeyError or TypeError on anything else."""
        read = json.loads(text)
        figures = [Figure(**{name: each[name] for name in Figure.__slots__}) for each in read.pop("figures")]
        return cls(**read, figures=figures)

    @classmethod
    def read(cls, results: Path, benchmark: str) -> "Kept":
        """What a benchmark kept in a folder. Raises typer.BadParameter if it has not run yet."""
        path = results / f"{benchmark}.json"
        if not path.exists():
            raise typer.BadParameter(f"{path} is not there: run `python -m bench.{benchmark}` first")
        return cls.from_json(path.read_text())


@contextmanager
def kept(benchmark: str, settings: Settings, into: Path, as_json: bool, parameters: dict[str, Any]) -> Iterator[Kept]:
    """Collect figures; at the end write them to `into`/`benchmark`.json and print them."""
    found = Kept(benchmark, now(), machine(), versions(settings), [os.getloadavg()[0]], parameters)
    yield found
    found.load.append(os.getloadavg()[0])
    into.mkdir(parents=True, exist_ok=True)
    (into / f"{benchmark}.json").write_text(found.to_json())
    typer.echo(found.to_json() if as_json else markdown(found), nl=False)


def markdown(found: Kept) -> str:
    """A table."""
    lines = ["| Figure | Measured | Target | Met |", "|---|---|---|---|"]
    met = {True: "yes", False: "**no**", None: ""}
    lines += [
        f"| {each.name} | {quantity(each.value)} {each.unit} | {target(each)} | {met[each.met]} |"
        for each in found.figures
    ]
    about = ", ".join(f"{name} {value}" for name, value in found.parameters.items())
    where = f"{found.machine['cpu']}, {found.machine['cores']} cores"
    load = " to ".join(f"{each:.1f}" for each in found.load)
    lines += ["", f"{found.began}, commit {found.versions['commit']}; {where}; load {load}; {about}."]
    return "\n".join([*lines, *found.notes, ""])


def describe(figure: Figure) -> str:
    """One line."""
    met = {True: ", met", False: ", MISSED", None: ""}[figure.met]
    wanted = f" (target {target(figure)}{met})" if target(figure) else ""
    return f"{figure.name}: {quantity(figure.value)} {figure.unit}{wanted}"


def target(figure: Figure) -> str:
    """What was asked for, in words; empty if nothing was."""
    limits = (("at most", figure.at_most), ("at least", figure.at_least))
    return " and ".join(f"{word} {quantity(limit)} {figure.unit}" for word, limit in limits if limit is not None)


def quantity(value: float) -> str:
    """Three digits or more."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them do not exceed. Raises IndexError if there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
