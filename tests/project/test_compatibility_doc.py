"""docs/compatibility.md says what the code, the pins and the tests say."""

import ast
import json
import re
import tomllib

import pytest

from pintally.sinks.clickhouse import server_version
from pintally.streams.kafka import admin
from pintally.tools.engines.library import LOCKS as ENGINES
from tests.compatibility import refusals
from tests.compatibility.claims import CLICKHOUSE_BY, KAFKA_BY, REFUSED_BY
from tests.compatibility.clickhouse import clickhouse_locks
from tests.compatibility.page import PAGE, with_tables
from tests.compatibility.runs import CLICKHOUSE, COUNTS, KAFKA, NOT_RUN, PYTHON, Run
from tests.compatibility.versions import PINNED, is_supported, kafka_locks, lowest_supported

ROOT = PAGE.parent.parent
TEXT = PAGE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUITE = [run for run in (*CLICKHOUSE, *PYTHON) if run.how.startswith("the whole suite")]
# What these raise is met later than at a worker's start, or is not for a person: each with its reason.
LATER = {
    "sinks/clickhouse/every_replica.py": "while hours are sealed: a server that joined the cluster has no tables yet",
    "sinks/claims.py": "another worker or command begins the source at the same time: the next try goes on",
    "sinks/reads/cuts.py": "a reader asks for what is not kept any more; a worker does not ask",
    "sinks/reads/tops.py": "a reader asks for what is not kept any more; a worker does not ask",
    "schemas/dead_letters.py": "while `dlq` reads a topic of dead letters",
    "schemas/user_keys.py": "while slices are restored or recounted that another key counted",
    "sinks/clickhouse/connection.py": "a connection that is over is opened again",
    "streams/settings/addresses.py": "settings: every command reads them first, and names variable and value",
    "streams/settings/__init__.py": "settings",
    "streams/settings/variables.py": "settings",
    "streams/settings/refused_shards.py": "settings: servers of shards and their number, with the variables' names",
    "streams/http/listening.py": "settings: an address for metrics that cannot be had, with the variable's name",
    "streams/log/setup.py": "an option of `worker`: a level of the log that is none",
    "streams/worker/fatal.py": "an error that nobody foresaw",
    "streams/worker/counters.py": "an option of `worker` that names a file",
    "streams/worker/session_watchdog.py": "while it counts: another worker has taken its name",
    "streams/kafka/leaderless.py": "brokers are away: it waits until they are back",
    "streams/kafka/fetching/consumer.py": "while records are fetched",
    "streams/kafka/fetching/reader.py": "while a range of the log is read",
    "streams/kafka/topic_configs.py": "while `migrate` sets a configuration",
    "streams/worker/table.py": "a worker whose rules were changed under it",
    "streams/worker/flush.py": "the same",
    "streams/counting/fold.py": "a log that changes while it is counted",
    "streams/counting/slices.py": "a clock that is further ahead than any real one",
    "streams/worker/dead_letter_topics.py": "while dead letters are sent",
}


def minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def test_its_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run `make readme`"


def test_the_lowest_versions_in_its_text_are_those_that_the_code_refuses_below() -> None:
    lowest = ".".join(map(str, admin.LOWEST_VERSION))
    assert f"Brokers from {lowest} on" in TEXT
    assert minor(lowest_supported()) == lowest
    assert min(clickhouse_locks()) == ".".join(map(str, server_version.LOWEST))
    refused = [run.version for run in CLICKHOUSE if run.result == "is refused"]
    assert all(tuple(map(int, version.split("."))) < server_version.LOWEST for version in refused)


def test_every_version_of_kafka_with_a_lock_was_run_and_came_out_as_the_code_decides() -> None:
    runs = {run.version: run for run in KAFKA}
    assert set(runs) | {PINNED} == set(kafka_locks())
    for version, run in runs.items():
        assert run.result in (COUNTS if is_supported(version) else "is refused", NOT_RUN)


def test_what_is_shown_by_the_suite_is_what_the_engines_and_docker_are_pinned_to() -> None:
    wanted = json.loads((ENGINES / "package.json").read_text())["dependencies"].values()
    [clickhouse] = [run for run in SUITE if run in CLICKHOUSE]
    assert all(minor(version) == minor(clickhouse.version) for version in wanted)
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"apache/kafka:{PINNED}" in compose
    assert f"clickhouse/clickhouse-server:{minor(clickhouse.version)}" in compose


def test_the_versions_of_python_are_those_of_the_package_and_of_make() -> None:
    versions = [minor(run.version) for run in PYTHON]
    shown = [name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert shown == versions
    highest = int(versions[-1].split(".")[1])
    assert PROJECT["requires-python"] == f">={versions[0]},<3.{highest + 1}"
    makefile = (ROOT / "Makefile").read_text()
    assert f"(3, {versions[0].split('.')[1]}) <= sys.version_info < (3, {highest + 1})" in makefile
    [candidates] = re.findall(r"^CANDIDATES := (.*)$", makefile, re.MULTILINE)
    assert sorted(candidates.split()[1:]) == sorted(f"python{version}" for version in versions)
    image = re.findall(r"^FROM python:([\d.]+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(image) <= set(versions)
    assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("run", [*KAFKA, *CLICKHOUSE, *PYTHON], ids=lambda run: run.version)
def test_every_run_says_how_it_was_shown(run: Run) -> None:
    assert bool(run.how) != (run.result == NOT_RUN)


@pytest.mark.parametrize(
    "test", [each for shown in (*KAFKA_BY.values(), *CLICKHOUSE_BY.values(), REFUSED_BY) for each in shown]
)
def test_the_tests_that_are_named_exist(test: str) -> None:
    file, _, name = test.partition("::")
    functions = [node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert not name or name.partition("[")[0] in functions


def test_every_file_whose_errors_a_person_may_meet_is_in_the_table_or_left_out_with_a_reason() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("schemas", "streams", "sinks")
        for path in (ROOT / folder).rglob("*.py")
        if "operations" not in path.parts and refusals.said_in(str(path.relative_to(ROOT)))
    }
    undecided = found - set(LATER) - set(refusals.AT_START)
    assert not undecided, "name them in tests/compatibility/refusals.py, and run `make readme`; or here, with a reason"
    assert set(refusals.AT_START) <= found
