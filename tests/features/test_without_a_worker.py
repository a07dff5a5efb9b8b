"""Who asks for features installs and imports nothing that counts: neither Faust nor numba nor a client of Kafka."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pintally.cli import OF_THE_WORKER

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = {"aiohttp", "aiokafka", "crc32c", "faust", "kafka", "mode", "msgspec", "numba", "prometheus_client", "uvloop"}
PACKAGES = {
    "aiohttp", "aiokafka", "crc32c", "faust-streaming", "kafka-python", "mode-streaming", "msgspec", "numba",
    "prometheus-client", "uvloop",
}  # fmt: skip


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_nothing_of_a_worker_is_imported() -> None:
    asked = run(f"import sys, pintally.features; print(sorted(set(sys.modules) & {MODULES!r}))")
    assert (asked.stdout, asked.stderr) == ("[]\n", "")


def test_nothing_of_a_worker_is_installed() -> None:
    wanted = [*PROJECT["dependencies"], *EXTRAS["features"]]
    assert not {re.split(r"[\[=<>]", each)[0] for each in wanted} & PACKAGES
    assert {re.split(r"[\[=<>]", each)[0] for each in EXTRAS["worker"]} == PACKAGES - {"mode-streaming"}


def test_the_lock_that_readers_of_counts_install_has_none_of_it() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "docs" / "examples" / "requirements.lock").read_text(), re.MULTILINE)
    assert {"clickhouse-driver", "narwhals", "pandas", "pydantic-settings"} <= set(locked)
    assert not set(locked) & (PACKAGES - {"prometheus-client", "uvloop"})  # Feast brings these itself


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_command_that_needs_a_worker_says_how_to_install_it(module: str) -> None:
    assert module in OF_THE_WORKER
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['pintally', 'status']\n"
        f"from pintally import cli\ncli.load = lambda name: __import__({module!r})\ncli.main()"
    )
    refused = run(code)
    assert refused.returncode == 2
    assert f"error: this command needs {module}\n  Run: python -m pip install 'pintally[worker]'\n" in refused.stderr
