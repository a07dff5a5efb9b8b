"""The environment of docs/examples: its locked packages and no others, made once for all clones.

A virtual environment in the user's cache, beside the engines. It has no Faust: what runs there shows that readers need
none.
"""

import os
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

from pintally.streams.settings import Settings
from pintally.tools.engines.cache import fetch_once

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
LOCK = EXAMPLES / "requirements.lock"
OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--no-compile")


def python() -> Path:
    """Its interpreter. The first time takes about a minute."""
    name = sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    return fetch_once(f"examples-{name}", _fill) / "bin" / "python"


def _fill(folder: Path) -> None:
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}"]
    subprocess.run([*pip, "install", *OPTIONS, "-r", str(LOCK)], check=True)


def run(*arguments: str | Path, settings: Settings, folder: Path, **environment: str) -> str:
    """Run Python with these arguments in a folder, and return what it printed. A failure shows all of it."""
    known = settings.environment() | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PYTHONSAFEPATH": ""}
    known["PYTHONDONTWRITEBYTECODE"] = ""  # else each run would compile a thousand modules again
    done = subprocess.run(
        [python(), *arguments],
        cwd=folder,
        env=known | {"CI": "true"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{os.fspath(arguments[0])} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout
