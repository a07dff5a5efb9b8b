"""Engines with logins, TLS and rights, started once for the tests of this folder."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.users import WRITTEN
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.security.forked import Commands
from tests.support.engines import skip_where_none_run
from tests.support.secured import ADMIN, DATABASE, Secured, secured_engines

Make = Callable[..., Settings]
DOORS = ("cut early", "cut later", "ends early", "ends later", "hangs later")


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    skip_where_none_run()
    with secured_engines(tmp_path_factory.mktemp("secured"), DOORS) as engines:
        migrate(engines.settings(clickhouse_user=ADMIN).clickhouse)
        yield engines


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Runs commands at once."""
    commands = Commands(tmp_path_factory.mktemp("commands"))
    try:
        yield commands
    finally:
        commands.close()


@pytest.fixture
def make(secured: Secured) -> Make:
    """Settings with topics of this test's own, which are made; the ledger knows no others."""
    with Connection(secured.settings(clickhouse_user=ADMIN).clickhouse, 30) as connection:
        for table in WRITTEN:
            connection.execute(f"TRUNCATE TABLE `{DATABASE}`.{table}")

    def settings(**changes: Any) -> Settings:
        name = f"t{uuid.uuid4().hex[:8]}"
        made = secured.settings(topic_prefix=f"{name}.", kafka_group_id=name, **changes)
        create_topics(*made.sources)
        return made

    return settings
