"""What a worker that ends until a person acts leaves for `pintally serve` of the same folder: why, and what to do.

A file in `.pintally/ended`, named after the worker. It is removed when a worker of that name counts.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time
from typing import Final

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import LOCAL_DIR

ENDED: Final = LOCAL_DIR / "ended"
NAMELESS: Final = "worker"  # without an instance id


@dataclass(frozen=True, slots=True)
class Ended:
    """One worker that ended; `at` in Unix seconds."""

    name: str
    at: float
    what: str
    remedy: str


def leave_reason(name: str | None, error: PintallyError, folder: Path = ENDED) -> None:
    """Write why. Does nothing where `pintally up` has no folder, or this user may not write there."""
    if folder.parent.is_dir():
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            file = _file(folder, name)
            part = file.with_suffix(".part")
            part.write_text(json.dumps(asdict(Ended(name or NAMELESS, time(), error.what, error.remedy))))
            part.replace(file)  # a reader sees all or nothing


def forget_reason(name: str | None, folder: Path = ENDED) -> None:
    """A worker of this name counts."""
    with suppress(OSError):
        _file(folder, name).unlink(missing_ok=True)


def ended_workers(folder: Path = ENDED) -> list[Ended]:
    """Returns the workers that ended so and have not counted since, the last one first."""
    found = (_read(file) for file in folder.glob("*.json"))
    return sorted((each for each in found if each), key=lambda each: -each.at)


def _read(file: Path) -> Ended | None:
    try:
        return Ended(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _file(folder: Path, name: str | None) -> Path:
    return folder / f"{(name or NAMELESS).replace('/', '_')}.json"
