"""What `pintally verify` found, as a file that Prometheus' node exporter and `pintally serve` read."""

import os
import time
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


def write_metrics(report: Report, file: Path) -> bool:
    """Write the file in one step, so that no reader sees a part of it; returns whether it was written.

    A run that cannot tell, for all or for a part, and finds no difference leaves the file as it is: its age grows.
    Raises PintallyError if the file cannot be written.
    """
    if report.exit_code not in (0, 1):
        return False
    try:
        write_to_textfile(str(file), registry_of(report, time.time()))
    except OSError as error:
        raise _not_written(file, str(error.strerror)) from error
    return True


def registry_of(report: Report, now: float) -> CollectorRegistry:
    """The metrics of a report that ended at `now`, in Unix seconds."""
    sample, registry = report.sample, CollectorRegistry()
    values = {
        "pintally_verified_timestamp_seconds": now,
        "pintally_verified_records": report.records,
        "pintally_verified_share": 1.0 if sample is None else sample.drawn / max(1, sample.slices),
        "pintally_differences": sum(report.findings.counts.values()),
    }
    for metric in VERIFIED:
        gauge = Gauge(metric.name, metric.help, metric.labels, registry=registry)
        gauge.labels(scope="whole" if sample is None else "sample").set(values[metric.name])
    return registry


def _not_written(file: Path, why: str) -> PintallyError:
    return PintallyError(
        f"--metrics {file} cannot be written: {why}", "Name a file in a folder that this user may write to."
    )
