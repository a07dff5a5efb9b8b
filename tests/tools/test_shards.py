"""One local ClickHouse or several shards: which folders go on with how many, and what they keep and end with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_driver import Client

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import Settings
from pintally.streams.settings.refused_shards import refuse_shards
from pintally.tools.engines import EngineAddresses, clickhouse, local_engines
from pintally.tools.engines.clickhouse_data import DATA, make_shards, shards_made
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.shards import Shard, shard_folder
from tests.support.engines import skip_where_none_run
from tests.tools.test_engines import is_running

PARENT = """
import dataclasses, json, sys, time
from pathlib import Path
import tests.support.engines
from pintally.tools.engines import local_engines
with local_engines(Path(sys.argv[1]), clickhouse_shards=2) as engines:
    pids = [child.pid for child in (*engines.brokers, *engines.shards)]
    print(json.dumps({"pids": pids, "addresses": dataclasses.asdict(engines.addresses)}), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def _supported() -> None:
    skip_where_none_run()


def made_with(path: Path, *numbers: int) -> Path:
    """A folder in which these shards have data."""
    for number in numbers:
        (path / shard_folder(number) / DATA).mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("numbers", "asked", "words"),
    [
        ((0,), 2, "was made with 1 shard, and cannot go on with 2 shards"),
        ((0, 1), 1, "was made with 2 shards, and cannot go on with 1 shard"),
        ((2,), 2, "was made with 3 shards"),  # making them was interrupted: the last one is made first
    ],
)
def test_a_folder_of_another_number_of_shards_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, numbers: tuple[int, ...], asked: int, words: str
) -> None:
    made_with(tmp_path, *numbers)
    before = sorted(tmp_path.glob("clickhouse*/**"))
    with pytest.raises(PintallyError, match=words) as refused, local_engines(tmp_path, clickhouse_shards=asked):
        pass
    assert str(tmp_path) in refused.value.what
    assert f"--clickhouse-shards {max(numbers) + 1}" in refused.value.remedy
    assert set(before) <= set(tmp_path.glob("clickhouse*/**"))
    assert not list(tmp_path.glob("clickhouse*/config.xml"))


@pytest.mark.parametrize("count", [-1, 4, 100])
def test_a_number_of_shards_that_cannot_be_started_is_refused(tmp_path: Path, count: int) -> None:
    with (
        pytest.raises(PintallyError, match=f"cannot start {count} shards") as refused,
        local_engines(tmp_path, clickhouse_shards=count),
    ):
        pass
    assert refused.value.remedy == "Choose a number from 1 to 3."


def test_making_them_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    folder = EngineFolder(made_with(tmp_path, 2))
    try:
        assert shards_made(folder) == 3
        make_shards(folder, 3)
        assert [(folder.shard(number) / DATA).is_dir() for number in range(4)] == [True, True, True, False]
    finally:
        folder.release()


@pytest.mark.usefixtures("_supported")
@pytest.mark.parametrize("brief", [False, True])
def test_servers_that_end_soon_make_no_machine_code_of_expressions(
    brief: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = {name: value for name, value in clickhouse.PROFILE.items() if name not in clickhouse.BRIEF}
    monkeypatch.setattr(clickhouse, "PROFILE", profile)  # all servers of tests end soon
    folder, shards = EngineFolder(tmp_path), [Shard(0, 1, 2), Shard(1, 3, 4)]
    try:
        addresses = EngineAddresses("a:1", "127.0.0.1", 1, 2, other_shards=[shards[1].address])
        clickhouse.clickhouse_programs(folder, addresses, shards, brief=brief)
        for shard in shards:
            users = (folder.shard(shard.number) / "users.xml").read_text()
            assert "<implicit_select>0<" in users
            assert [f"<{name}>0<" in users for name in clickhouse.BRIEF] == [brief] * 3
    finally:
        folder.release()


def test_other_commands_are_told_of_all_shards_and_one_server_is_named_as_before() -> None:
    two = EngineAddresses("a:1", "127.0.0.1", 1, 2, other_shards=["127.0.0.1:3:4"])
    assert two.environment()["PINTALLY_SHARDS"] == "2"
    settings = Settings.of(None, **two.settings())
    assert [(each.port, each.http_port) for each in settings.clickhouse.shards] == [(1, 2), (3, 4)]
    refuse_shards(settings.clickhouse, settings.rules, over_shards=True)
    alone = EngineAddresses("a:1", "127.0.0.1", 1, 2).environment()
    assert {name for name in alone if "SHARD" in name} == set()


@pytest.mark.engines
@pytest.mark.usefixtures("_supported")
def test_two_shards_end_with_a_parent_that_is_killed_and_the_next_run_has_their_ports_and_data(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        said = json.loads(parent.stdout.readline())
        addresses = EngineAddresses(**said["addresses"])
        for number, shard in enumerate(Settings.of(None, **addresses.settings()).clickhouse.shards):
            with Client(shard.host, shard.port) as client:
                client.execute("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
                client.execute("INSERT INTO kept VALUES", [(number,)])
        parent.kill()
    with local_engines(tmp_path) as engines:  # as many as last time, without being told
        assert not any(is_running(pid) for pid in said["pids"])
        assert engines.addresses == addresses
        assert len(engines.shards) == 2
        found = []
        for shard in Settings.of(None, **addresses.settings()).clickhouse.shards:
            with Client(shard.host, shard.port) as client:
                found += client.execute("SELECT n FROM kept")
        assert found == [(0,), (1,)]
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"clickhouse.log", "clickhouse-1.log"}
