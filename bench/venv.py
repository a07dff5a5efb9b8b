"""The benchmark's own virtual environment: the peers' packages, locked, apart from the project's."""

import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

from bench.drain import PeerFailed
from bench.engines import say

LOCK = Path(__file__).with_name("requirements.lock")
HOME = Path(__file__).with_name(".venv")


def peers_python() -> Path:
    """Its interpreter; made and filled on first use, and again when the lock has changed. Raises PeerFailed."""
    python, done = HOME / "bin" / "python", HOME / ".installed"
    wanted = f"{sha256(LOCK.read_bytes()).hexdigest()} {sys.version}"
    if not done.exists() or done.read_text() != wanted:
        say(f"installing the peers' packages into {HOME} ...")
        venv.create(HOME, with_pip=True, clear=True)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        line: list[str | Path] = [python, "-m", "pip", "install", *options, "-r", LOCK]
        installed = subprocess.run(line, capture_output=True, text=True, check=False)
        if installed.returncode:
            raise PeerFailed(f"the peers' packages could not be installed: {installed.stderr[-1000:]}")
        done.write_text(wanted)
    return python
