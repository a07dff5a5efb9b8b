"""The benchmark's own virtual environment: the peers' packages, locked, apart from the project's."""

import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

from bench.engines import say

LOCK = Path(__file__).with_name("requirements.lock")
HOME = Path(__file__).with_name(".venv")


def peers_python() -> Path:
    """Its interpreter; made and filled on first use, and again when the lock has changed."""
    python, done = HOME / "bin" / "python", HOME / ".installed"
    wanted = f"{sha256(LOCK.read_bytes()).hexdigest()} {sys.version}"
    if not done.exists() or done.read_text() != wanted:
        say(f"installing the peers' packages into {HOME} ...")
        venv.create(HOME, with_pip=True, clear=True)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run([python, "-m", "pip", "install", *options, "-r", LOCK], check=True)
        done.write_text(wanted)
    return python


def packages(python: Path) -> dict[str, str]:
    """Versions of what is installed there, by name."""
    code = "import importlib.metadata as m; print(*(f'{d.name}={d.version}' for d in m.distributions()))"
    listed = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(sorted(each.split("=", 1) for each in listed.split()))
