"""Fixtures of all tests. The engines start only for tests that ask for them."""

import gc
import os
import uuid
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples

from pintally.streams.settings import Settings
from tests.support.engines import (
    TestEngines,
    choose_backend,
    docker_answers,
    open_engines,
    topics_and_tables,
)
from tests.support.temporary import use_memory

USED = pytest.StashKey[str]()
PARTITIONS = 2
LONG = ("e2e", "examples", "simulation", "security", "fuzz", "compatibility")  # folders, the longest first
# Fixtures of a session that several modules use.
SHARED = {"secured", "feature_world", "known", "emulated", "two_shards"}

# On a machine with other work an example may take any time: no test is red for that.
examples.register_profile(
    "unhurried",
    parent=examples.get_profile(examples.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
examples.load_profile("unhurried")

use_memory(os.environ)


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngines]:
    """Kafka and ClickHouse, started once. A test that takes one down must bring it back (`restartable_engines`)."""
    backend = choose_backend(dict(os.environ), docker_answers)
    with open_engines(backend, tmp_path_factory.mktemp("engines")) as opened:
        request.config.stash[USED] = f"{backend} (Kafka {opened.addresses.kafka})"
        yield opened


@pytest.fixture
def restartable_engines(engines: TestEngines) -> Iterator[TestEngines]:
    """The session's engines, for tests that kill or stop them; whatever is down afterwards is started again."""
    if not engines.can_restart:
        pytest.skip("the engines were given by PINTALLY_* variables, and tests may not take them down")
    yield engines
    for engine in (engines.kafka, engines.clickhouse):
        engine.start()
        engine.wait_ready()


@pytest.fixture
def settings(engines: TestEngines, tmp_path: Path) -> Settings:
    """Settings with topics, group and database of this test's own; nothing is created."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return Settings.of(
        env_file=tmp_path / "none",
        **engines.addresses.settings(),
        clickhouse_database=name,
        topic_prefix=f"{name}.",
        kafka_group_id=name,
        partitions=PARTITIONS,
        session_timeout_seconds=6,
        flush_interval_seconds=0.2,
    )


@pytest.fixture
def stack(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """`settings` with its topics and tables made, and dropped afterwards."""
    with topics_and_tables(settings, engines.addresses):
        yield settings


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the loops over columns once, before pytest-xdist starts its processes: each would compile all of them."""
    if session.config.getoption("dist", "no") != "no" and not hasattr(session.config, "workerinput"):
        import_module("pintally.streams.worker.run")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook of this name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs engines. For pytest-xdist: long tests first, and those that share a fixture of their module in
    one process.
    """
    for item in items:
        if "engines" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engines)
    order = {name: place for place, name in enumerate(LONG)}
    short = len(order)
    items.sort(key=lambda item: order.get(item.path.parent.name, short + (item.get_closest_marker("engines") is None)))
    for item in items:
        if isinstance(item, pytest.Function) and (group := _group(item)):
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Garbage is looked for in what tests make, not each time among all tests and modules, which stay."""
    gc.collect()
    gc.freeze()


def _group(item: pytest.Function) -> str | None:
    """The tests that run in one process: those with a fixture for all of their module, and those that share a large one
    with other modules.

    The tests of failures have secured engines of their own: they wait for a minute, the others need not wait for them.
    """
    fixtures = item._fixtureinfo.name2fixturedefs
    if shared := SHARED & fixtures.keys():
        return ".".join((*sorted(shared), *(("failures",) if item.path.stem == "test_failures" else ())))
    of_module = any(each[-1].scope == "module" for each in fixtures.values())
    return f"{item.path.parent.name}.{item.path.stem}" if of_module else None


def pytest_report_header() -> str:
    forced = os.environ.get("PINTALLY_TEST_ENGINES")
    return f"engines: {f'{forced} (PINTALLY_TEST_ENGINES)' if forced else 'chosen when a test needs them'}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist tells the one that prints the summary which engines it used."""
    if output := getattr(session.config, "workeroutput", None):
        output["engines"] = session.config.stash.get(USED, None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if used := getattr(node, "workeroutput", {}).get("engines"):
        node.config.stash[USED] = "; ".join(filter(None, [node.config.stash.get(USED, ""), used]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"engines: {config.stash.get(USED, 'not started, no test needed them')}")
