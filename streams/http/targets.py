"""Tells Prometheus, and `pintally serve`, where a process of this folder can be scraped: a file in `.pintally/targets`.

The format is that of Prometheus' `file_sd_configs`. The label `job` takes the place of the scrape configuration's.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pintally.streams.settings import LOCAL_DIR

TARGETS: Final = LOCAL_DIR / "targets"
WORKER_JOB: Final = "pintally-worker"  # the alerts name both
SERVE_JOB: Final = "pintally-serve"
log = logging.getLogger(__name__)


@contextmanager
def announced_target(target: str, job: str, name: str, folder: Path = TARGETS) -> Iterator[None]:
    """`folder` has a file NAME.json until the end of the block. Does nothing where `pintally up` has no folder.

    `target` is host:port. A process that is killed leaves its file; the next one of that name writes it again. If it
    cannot be written, the log says so and the process goes on: it may run as another user than `pintally up`.
    """
    file = folder / f"{name.replace('/', '_')}.json"
    if folder.parent.is_dir():
        try:
            _write(file, target, job)
        except OSError as error:
            log.warning(
                "%s cannot be written, so Prometheus does not find %s there: %s", file, target, error.strerror,
                extra={"reason": error.strerror},
            )  # fmt: skip
    try:
        yield
    finally:
        if targets_in(file) == [(target, job)]:  # else it is of another process by now
            remove(file)


def _write(file: Path, target: str, job: str) -> None:
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps([{"targets": [target], "labels": {"job": job}}]))
    part.replace(file)  # a reader sees all or nothing


def remove(file: Path) -> None:
    """Remove a file of targets, if this user may."""
    with suppress(OSError):
        file.unlink()


def announced_targets(job: str, folder: Path = TARGETS) -> list[str]:
    """Returns host:port of the processes of this job that said so, in order of their names."""
    return [target for file in sorted(folder.glob("*.json")) for target, of in targets_in(file) if of == job]


def targets_in(file: Path) -> list[tuple[str, str]]:
    """Returns (host:port, job) of each target in a file; empty if there is no such file, or it is not of this kind."""
    try:
        groups = json.loads(file.read_text())
        return [(str(target), str(group["labels"]["job"])) for group in groups for target in group["targets"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
