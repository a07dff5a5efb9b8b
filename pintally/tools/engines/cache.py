"""The user's cache folder, where fetched engines stay for every later run and clone."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pintally.schemas.errors import PintallyError


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/pintally/engines`, by default under `~/.cache` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else _home() / ".cache") / "pintally" / "engines"


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # a container may run under a number that has no name
        home = Path()
    if not home.is_absolute():
        raise PintallyError(
            f"there is no place to keep the engines: HOME is not set, and user {os.getuid()} has no home",
            "Set XDG_CACHE_HOME or HOME to a folder that you may write to.",
        )
    return home


def is_cached(name: str) -> bool:
    """Whether `fetch_once` would have nothing to fetch."""
    return (cache_folder() / name).is_dir()


def fetch_once(name: str, fetch: Callable[[Path], None]) -> Path:
    """The cached folder `name`, filled by `fetch(empty folder)` if it is not there yet. Raises PintallyError.

    Safe with several processes: one fetches, the others wait for it. A folder appears under its name only once it
    is whole, so whatever `name` holds can be used; an interrupted fetch leaves nothing that would be taken for it.
    """
    done = cache_folder() / name
    if done.is_dir():
        return done
    try:
        done.parent.mkdir(parents=True, exist_ok=True)
        opened = (done.parent / f"{done.name}.lock").open("w")
    except OSError as error:
        raise PintallyError(
            f"cannot keep the engines in {done.parent}: {error.strerror}",
            "Set XDG_CACHE_HOME or HOME to a folder that you may write to.",
        ) from error
    with opened as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_dir():
            for killed in done.parent.glob(f"{done.name}.part-*"):  # half of what a process fetched that had the lock
                shutil.rmtree(killed, ignore_errors=True)
            part = Path(tempfile.mkdtemp(prefix=f"{done.name}.part-", dir=done.parent))
            try:
                fetch(part)
                part.rename(done)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return done
