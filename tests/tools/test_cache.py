"""What is fetched once for all folders: nothing is left of a fetch that did not come to its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pintally.tools.engines.cache import cache_folder, fetch_once

KILLED = """
import os, signal
from pintally.tools.engines.cache import fetch_once
def fetch(to):
    (to / "half").write_bytes(bytes(1_000))
    os.kill(os.getpid(), signal.SIGKILL)
fetch_once("engine-1", fetch)
"""


def test_half_a_fetch_that_was_killed_is_neither_taken_nor_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is 240 MB, and nobody else would ever delete it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED], env=os.environ, check=False)
        assert done.returncode == -signal.SIGKILL
    assert len([*cache_folder().glob("engine-1.part-*")]) == 1
    whole = fetch_once("engine-1", lambda to: to.joinpath("all").touch())
    assert [each.name for each in whole.iterdir()] == ["all"]
    assert sorted(each.name for each in cache_folder().iterdir()) == ["engine-1", "engine-1.lock"]
