"""What the local engines decide before anything is started."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import Settings
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.announce import announced
from pintally.tools.engines.cache import cache_folder, fetch_once, is_cached
from pintally.tools.engines.clickhouse import explain_clickhouse
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import LOCK, locked_jars
from pintally.tools.engines.kafka import BROKER, _class_path, explain_kafka, java_environment
from pintally.tools.engines.kafka_data import new_cluster_id
from pintally.tools.engines.library import LOCKS, PACKAGES, package_for_this_machine
from pintally.tools.engines.ports import LOOPBACK, free_port, is_free
from tests.support.engines import choose_backend

ADDRESSES = EngineAddresses("127.0.0.1:19092", "127.0.0.1", 19000, 18123, "somebody", "se=cr#et")


def test_every_jar_is_locked_with_a_checksum_and_all_of_kafka_in_one_version() -> None:
    jars = locked_jars(LOCK.read_text())
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.1.0"}


def test_the_npm_lock_has_every_package_with_a_checksum_and_names_no_host() -> None:
    text = (LOCKS / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    for package in PACKAGES.values():
        assert packages[f"node_modules/{package}"]["integrity"].startswith("sha512-")
    assert "resolved" not in text
    assert "://" not in text


def test_the_announced_addresses_are_those_that_settings_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES.environment():
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "engines.env"
    with announced(ADDRESSES, file):
        settings = Settings.of(env_file=file)
        assert (settings.kafka.bootstrap_servers, settings.clickhouse.http_port) == ("127.0.0.1:19092", 18123)
        assert (settings.clickhouse.port, settings.clickhouse.user) == (19000, "somebody")
        assert settings.clickhouse.password.get_secret_value() == "se=cr#et"
    assert not file.exists()


def test_no_password_is_in_the_text_of_addresses() -> None:
    assert "se=cr#et" not in repr(ADDRESSES)


def test_folders_are_fetched_once_by_all_who_want_them_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetches: list[Path] = []

    def fetch(to: Path) -> None:
        fetches.append(to)
        (to / "half").write_text("half")
        time.sleep(0.1)
        (to / "half").rename(to / "whole")

    threads = [threading.Thread(target=fetch_once, args=("thing", fetch)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetches) == 1
    assert [file.name for file in fetch_once("thing", fetch).iterdir()] == ["whole"]


def test_a_fetch_that_fails_leaves_nothing_that_would_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(to: Path) -> None:
        (to / "half").write_text("half")
        raise PintallyError("no network")

    with pytest.raises(PintallyError, match="no network"):
        fetch_once("thing", fail)
    assert not is_cached("thing")
    assert [path.name for path in cache_folder().iterdir()] == ["thing.lock"]


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_variables_that_name_one_are_named(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    if home == "":  # Python takes it for /
        assert cache_folder() == Path("/.cache/pintally/engines")
        return
    with pytest.raises(PintallyError, match="no place to keep the engines: HOME") as refused:
        cache_folder()
    assert "XDG_CACHE_HOME" in refused.value.remedy


@pytest.mark.parametrize("blocked", ["pintally", "pintally/engines", "pintally/engines/thing.lock"])
def test_a_cache_that_cannot_be_written_is_named_with_the_variables(
    blocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for root, for whom permissions do not count: something else has the name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / blocked).mkdir() if blocked.endswith(".lock") else (tmp_path / blocked).write_text("")
    with pytest.raises(PintallyError, match="cannot keep the engines in") as refused:
        fetch_once("thing", lambda _: None)
    assert "XDG_CACHE_HOME or HOME" in refused.value.remedy


@pytest.mark.parametrize(
    ("name", "what"), [(os.fsdecode(b"caf\xe9"), "its name is not UTF-8"), ("/".join(["d" * 200] * 19), "longer than")]
)
def test_a_folder_that_java_could_not_use_is_refused_and_not_made(name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(PintallyError, match=what):
        EngineFolder(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_colon_in_the_cache_is_refused_as_java_would_find_no_jar() -> None:
    with pytest.raises(PintallyError, match="colon") as refused:
        _class_path(Path("/home/a:b/.cache"))
    assert "XDG_CACHE_HOME" in refused.value.remedy


def test_options_for_other_java_programs_are_not_passed_on_and_any_file_can_be_named() -> None:
    foreign = dict.fromkeys(("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"), "-x")
    assert java_environment({**foreign, "LC_ALL": "C", "PATH": "/bin"}) == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}


def test_ports_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    asked: dict[str, int | None] = {"kafka": None, "clickhouse": None}
    first = EngineFolder(tmp_path)
    ports = first.choose_ports(asked)
    first.release()
    second = EngineFolder(tmp_path)
    assert second.choose_ports(asked) == ports
    second.release()


def test_a_remembered_port_that_is_taken_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    folder = EngineFolder(tmp_path)
    ports = folder.choose_ports({"kafka": None, "clickhouse": None})
    with socket.create_server(("127.0.0.1", ports["kafka"])):
        again = folder.choose_ports({"kafka": None, "clickhouse": None})
    folder.release()
    assert again["kafka"] != ports["kafka"]
    assert again["clickhouse"] == ports["clickhouse"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kafka": "x"}', '{"kafka": null}'])
def test_a_broken_memory_of_ports_is_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    folder = EngineFolder(tmp_path)
    assert set(folder.choose_ports({"kafka": None})) == {"kafka"}
    folder.release()


def test_an_asked_port_in_use_is_refused_and_so_is_one_asked_for_twice(tmp_path: Path) -> None:
    folder = EngineFolder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PintallyError, match=rf"port {port} \(kafka\) is in use"):
            folder.choose_ports({"kafka": port})
    free = free_port()
    with pytest.raises(PintallyError, match="asked for twice"):
        folder.choose_ports({"kafka": free, "clickhouse": free})
    folder.release()


def test_two_processes_are_never_given_one_port_and_a_server_may_listen_there() -> None:
    first = free_port()
    code = (
        "import random\n"
        "from pintally.tools.engines.ports import free_port\n"
        f"random.sample = lambda candidates, _: [{first}, *candidates]\n"
        "print(free_port())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(other) != first
    for _ in range(2):
        with socket.create_server((LOOPBACK, first)), socket.create_connection((LOOPBACK, first)):
            pass


def test_free_ports_are_free_and_never_those_taken() -> None:
    first = free_port()
    assert is_free(first)
    low = min(free_port() for _ in range(4))  # above any single one there may be none
    assert free_port(taken=range(low + 1)) > low


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first, second = EngineFolder(tmp_path), EngineFolder(tmp_path)
    first.take()
    with pytest.raises(PintallyError, match="are in use by process"):
        second.take()
    first.release()
    third = EngineFolder(tmp_path)
    third.take()
    third.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PintallyError, match=rf"cannot use the folder {tmp_path}/file/engines: Not a directory"):
        EngineFolder(tmp_path / "file" / "engines")


def test_another_machine_is_told_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(PintallyError, match="docker compose up"):
        package_for_this_machine()


@pytest.mark.parametrize(
    ("log", "what"),
    [
        ("Code: 210. DB::Exception: Listen failed: Poco::Exception. Code: 1000, Net Exception", "port is in use"),
        ("Code: 76. DB::Exception: Cannot lock file /x/status", "data folder is in use"),
    ],
)
def test_clickhouses_known_failures_are_told_in_words(log: str, what: str) -> None:
    error = explain_clickhouse(log)
    assert error is not None
    assert what in error.what
    assert error.remedy


def test_kafkas_known_failures_are_told_in_words_and_others_left_alone() -> None:
    assert "port" in str(explain_kafka("Socket server failed to bind to x: Address already in use."))
    assert "data folder" in str(explain_kafka("Failed to acquire lock on file .lock in /x"))
    assert explain_kafka("WARN something else") is None
    assert explain_clickhouse("Code: 60. no such table") is None


def test_the_broker_makes_no_topics_by_itself_and_lets_sessions_be_short() -> None:
    settings = dict(line.split("=", 1) for line in BROKER.splitlines() if "=" in line and not line.startswith("#"))
    assert settings["auto.create.topics.enable"] == "false"
    assert int(settings["group.min.session.timeout.ms"]) <= 6_000


@pytest.mark.parametrize(
    ("environment", "docker", "backend"),
    [
        ({}, True, "containers"),
        ({}, False, "local"),
        ({"PINTALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1", "PINTALLY_CLICKHOUSE_HOST": "b"}, True, "environment"),
        ({"PINTALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1"}, False, "local"),
        ({"PINTALLY_TEST_ENGINES": "local"}, True, "local"),
        ({"PINTALLY_TEST_ENGINES": "containers", "PINTALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1"}, False, "containers"),
    ],
)
def test_the_tests_take_the_first_engines_that_can_be_had(
    environment: dict[str, str], docker: bool, backend: str
) -> None:
    assert choose_backend(environment, lambda: docker) == backend


def test_a_backend_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="PINTALLY_TEST_ENGINES=podman"):
        choose_backend({"PINTALLY_TEST_ENGINES": "podman"}, lambda: True)


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 64 would begin with a dash, and Kafka's tool would refuse to make the data folder."""
    drawn = iter([uuid.UUID(bytes=bytes([248 + n] + [0] * 15)) for n in range(4)] + [uuid.UUID(int=1)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert new_cluster_id() == "AAAAAAAAAAAAAAAAAAAAAQ"
