"""Programs that a machine may lack: found, or the test is skipped and says how to install them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pintally.tools.engines.cache import cache_folder
from pintally.tools.engines.prometheus import find_prometheus, how_to_get_it

ALL = "tests/support/install_programs.sh (as root, Debian or Ubuntu) installs all that tests need"


def promtool(*arguments: str | Path, text: str = "") -> tuple[int, str]:
    """Exit code, and all that Prometheus' tool that checks rules and metrics says. Skips the test if there is none."""
    tool = _found("promtool", find_prometheus("promtool"), how_to_get_it())
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def prometheus() -> Path:
    """The server. Skips the test if there is none."""
    return _found("prometheus", find_prometheus(), how_to_get_it())


def chromium() -> Path:
    """The browser. Skips the test if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    remedy = "Debian, Ubuntu: apt-get install --no-install-recommends chromium"
    return _found("chromium", Path(found) if found else None, remedy)


def systemd_analyze() -> Path:
    """The tool that checks units. Skips the test if there is none."""
    found = shutil.which("systemd-analyze")
    return _found("systemd-analyze", Path(found) if found else None, "Debian, Ubuntu: apt-get install systemd")


def helm() -> Path:
    """Helm, which makes documents of Kubernetes from a chart. Skips the test if there is none."""
    kept = cache_folder() / "helm" / "helm"
    found = shutil.which("helm") or (str(kept) if kept.is_file() else None)
    return _found("helm", Path(found) if found else None, "its releases, or the package of your system")


def operator_schemas() -> Path:
    """The folder with the schemas of Prometheus' operator and of KEDA. Skips the test if there is none."""
    kept = cache_folder() / "schemas"
    return _found("the schemas of operators", kept if kept.is_dir() else None, "their modules of Go")


def _found(name: str, path: Path | None, remedy: str) -> Path:
    if path is None:
        pytest.skip(f"waits for {name}. {remedy}; {ALL}")
    return path
