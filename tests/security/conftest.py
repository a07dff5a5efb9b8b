"""Engines with logins, TLS and rights, started once for the tests of this folder."""

from collections.abc import Iterator

import pytest

from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.migrate import migrate
from pintally.tools.engines.library import package_for_this_machine
from tests.security.forked import Commands
from tests.support.secured import ADMIN, Secured, secured_engines

DOORS = ("cut early", "cut later", "ends early", "ends later", "hangs later")


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    try:
        package_for_this_machine()
    except PintallyError as error:
        pytest.skip(error.what)
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
