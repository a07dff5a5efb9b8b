"""What `pintally verify` found, as a file that Prometheus' node exporter and `pintally serve` read."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from pintally.audit.verify import Report
from pintally.schemas.errors import PintallyError
from pintally.schemas.metrics import VERIFIED


def check_place(file: Path) -> None:
    """Raises PintallyError if the file cannot be written, before hours of recounting."""
    folder = file.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or file.is_dir():
        raise _not_written(file, "its folder does not exist, or may not be written to")


def refuse_some(sources: Sequence[str] | None) -> None:
    """Raises PintallyError for some sources: the file would say of all that they are exact, and end the alert of a
    difference in another one.
    """
    if sources:
        raise PintallyError(
            "--metrics tells of all sources, and --source asks for some of them", "Leave out one of the options."
        )


def worst(reports: Iterable[Report]) -> int:
    """The exit code of all: different, else cannot tell, else cannot tell now, else exact."""
    codes = {report.exit_code for report in reports}
    return next((code for code in (1, 2, 75) if code in codes), 0)


def write_metrics(reports: Sequence[Report], file: Path) -> bool:
    """Write the file in one step, so that no reader sees a part of it; returns whether it was written.

    There is a report for each server of ClickHouse. A run that cannot tell, for all or for a part, and finds no
    difference leaves the file as it is: its age grows. Raises PintallyError if the file cannot be written.
    """
    if worst(reports) not in (0, 1):
        return False
    try:
        write_to_textfile(str(file), registry_of(reports, time.time()))
    except OSError as error:
        raise _not_written(file, str(error.strerror)) from error
    return True


def registry_of(reports: Sequence[Report], now: float) -> CollectorRegistry:
    """The metrics of a run that ended at `now`, in Unix seconds.

    Several shards are recounted from one log: it says what all of them have been compared with, and the differences of
    all.
    """
    sample, registry = reports[0].sample, CollectorRegistry()
    values = {
        "pintally_verified_timestamp_seconds": now,
        "pintally_verified_records": min(report.records for report in reports),
        "pintally_verified_share": min(_share(report) for report in reports),
        "pintally_differences": sum(sum(report.findings.counts.values()) for report in reports),
    }
    for metric in VERIFIED:
        gauge = Gauge(metric.name, metric.help, metric.labels, registry=registry)
        gauge.labels(scope="whole" if sample is None else "sample").set(values[metric.name])
    return registry


def _share(report: Report) -> float:
    if report.sample is not None:
        return report.sample.drawn / max(1, report.sample.slices)
    known = sum(source.known for source in report.sources)
    return sum(source.slices for source in report.sources) / known if known else 1.0


def _not_written(file: Path, why: str) -> PintallyError:
    return PintallyError(
        f"--metrics {file} cannot be written: {why}", "Name a file in a folder that this user may write to."
    )
