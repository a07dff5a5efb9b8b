"""One local broker or three: which folders go on with how many, and what three keep when their parent is killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from pintally.tools.engines import EngineAddresses, kafka, local_engines
from pintally.tools.engines.brokers import Broker, brokers_at, folder_of, port_names
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.kafka import kafka_programs
from pintally.tools.engines.kafka_data import DATA, MADE, brokers_made
from pintally.tools.engines.ports import free_port
from tests.support.engines import skip_where_none_run
from tests.tools.test_engines import is_running, log_end, produce

CLUSTER = "AAAAAAAAAAAAAAAAAAAAAA"
PARENT = """
import dataclasses, json, sys, time
from pathlib import Path
import tests.support.engines
from pintally.tools.engines import local_engines
with local_engines(Path(sys.argv[1]), kafka_brokers=3) as engines:
    pids = [child.pid for child in (*engines.brokers, engines.clickhouse)]
    print(json.dumps({"pids": pids, "addresses": dataclasses.asdict(engines.addresses)}), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def _supported() -> None:
    skip_where_none_run()


def made_with(path: Path, *numbers: int) -> Path:
    """A folder in which these brokers have data."""
    for number in numbers:
        data = path / folder_of(number) / DATA
        data.mkdir(parents=True)
        (data / MADE).write_text(f"cluster.id={CLUSTER}\n")
    return path


def data_in(path: Path) -> list[str]:
    """The files of brokers."""
    return sorted(str(file) for file in path.glob("kafka*/**/*"))


@pytest.mark.parametrize(
    ("numbers", "asked", "words"),
    [
        ((1,), 3, "was made with 1 broker, and cannot go on with 3 brokers"),
        ((1, 2, 3), 1, "was made with 3 brokers, and cannot go on with 1 broker"),
        ((3,), 1, "was made with 3 brokers"),  # formatting was interrupted: the last one is formatted first
    ],
)
def test_a_folder_of_another_number_of_brokers_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, numbers: tuple[int, ...], asked: int, words: str
) -> None:
    made_with(tmp_path, *numbers)
    before = data_in(tmp_path)
    with pytest.raises(PintallyError, match=words) as refused, local_engines(tmp_path, kafka_brokers=asked):
        pass
    assert str(tmp_path) in refused.value.what
    assert f"--kafka-brokers {max(numbers)}" in refused.value.remedy
    assert data_in(tmp_path) == before


@pytest.mark.parametrize("count", [2, 4, 5])
def test_a_number_of_brokers_of_which_none_may_be_lost_is_refused(tmp_path: Path, count: int) -> None:
    with (
        pytest.raises(PintallyError, match=f"cannot start {count} brokers") as refused,
        local_engines(tmp_path, kafka_brokers=count),
    ):
        pass
    assert refused.value.remedy == "Choose 1 or 3."


def test_topics_are_made_with_as_many_replicas_as_there_are_brokers() -> None:
    three = EngineAddresses("a:1,b:2,c:3", "127.0.0.1", 1, 2, kafka_replication=3)
    assert three.environment()["PINTALLY_REPLICATION"] == "3"
    assert Settings.of(None, **three.settings()).topics.replication == 3
    assert "PINTALLY_REPLICATION" not in EngineAddresses("a:1", "127.0.0.1", 1, 2).environment()


@pytest.mark.engines
@pytest.mark.usefixtures("_supported")
def test_formatting_that_was_interrupted_goes_on_with_the_cluster_that_it_began(tmp_path: Path) -> None:
    folder = EngineFolder(made_with(tmp_path, 3, 2))  # as far as it came
    try:
        assert brokers_made(folder) == 3
        kafka_programs(folder, brokers_at({name: free_port() for names in port_names(3) for name in names}, 3))
        assert f"cluster.id={CLUSTER}" in (folder.kafka / DATA / MADE).read_text()
    finally:
        folder.release()


@pytest.mark.engines
@pytest.mark.usefixtures("_supported")
@pytest.mark.parametrize("brief", [False, True])
def test_java_optimizes_nothing_for_brokers_that_end_soon(
    brief: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "JVM", ())  # all brokers of tests end soon
    folder = EngineFolder(made_with(tmp_path, 1))
    try:
        [program] = kafka_programs(folder, [Broker(1, 1, 2)], brief=brief)
        assert (kafka.BRIEF in program.command) is brief
    finally:
        folder.release()


@pytest.mark.engines
@pytest.mark.usefixtures("_supported")
def test_three_brokers_end_with_a_parent_that_is_killed_and_the_next_run_has_ports_topics_and_data(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        said = json.loads(parent.stdout.readline())
        addresses = EngineAddresses(**said["addresses"])
        settings = Settings.of(None, **addresses.settings(), partitions=1)
        create_topics(*settings.sources)
        topic = settings.topics.names[Action.SAVE]
        produce(addresses, topic)
        parent.kill()
    with local_engines(tmp_path) as engines:  # as many as last time, without being told
        assert not any(is_running(pid) for pid in said["pids"])
        assert engines.addresses == addresses
        assert len(engines.brokers) == 3
        assert log_end(addresses, topic) == 10
        with open_admin(settings.kafka) as admin:
            described = admin.describe_topics([topic, "__consumer_offsets"])
        assert {len(each["replica_nodes"]) for of in described for each in of["partitions"]} == {3}
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"kafka.log", "kafka-2.log", "kafka-3.log"}
