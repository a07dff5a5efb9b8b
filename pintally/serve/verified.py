"""Reads what `pintally verify --metrics FILE` left: when counts were last recounted, and what was found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from pintally.schemas.metrics import VERIFIED
from pintally.serve.state import Verified

Values = dict[str, float]  # name of the metric -> value


@dataclass(frozen=True, slots=True)
class Runs:
    """The last run of each scope (`whole`, `sample`) that has left a file."""

    by_scope: dict[str, Values] = field(default_factory=dict)

    def each(self) -> list[Verified]:
        """The last run of each scope, the whole one first: a sample does not clear what a whole run found."""
        return [
            Verified(
                scope=scope,
                at=_when(values),
                records=int(values["pintally_verified_records"]),
                share=values["pintally_verified_share"],
                differences=int(values["pintally_differences"]),
            )
            for scope, values in sorted(self.by_scope.items(), key=lambda run: (run[0] != "whole", run[0]))
        ]


def files_in(names: str | None) -> list[Path]:
    """The files that are named, with commas between."""
    return [Path(name.strip()) for name in (names or "").split(",") if name.strip()]


def read_runs(files: Iterable[Path]) -> Runs:
    """Reads the files that are there and are such files; of two runs of a scope the later one counts."""
    runs: dict[str, Values] = {}
    for file in files:
        for scope, values in _read(file).items():
            if scope not in runs or _when(values) > _when(runs[scope]):
                runs[scope] = values
    return Runs(runs)


def _read(file: Path) -> dict[str, Values]:
    found: dict[str, Values] = {}
    try:
        for family in text_string_to_metric_families(file.read_text()):
            for sample in family.samples:
                found.setdefault(sample.labels.get("scope", ""), {})[sample.name] = sample.value
    except (OSError, ValueError):  # not there yet, or another file
        return {}
    names = {metric.name for metric in VERIFIED}
    return {scope: values for scope, values in found.items() if names <= values.keys()}


def _when(values: Values) -> float:
    return values["pintally_verified_timestamp_seconds"]
