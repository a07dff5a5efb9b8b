"""Every SQL of the dashboard of engagement is asked of ClickHouse as the user of readers, and has an answer."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_driver import Client

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.users import users
from tests.support.dashboards import Asked, dashboard, queries, sql
from tests.support.emulated import World, fill
from tests.support.own_clickhouse import Profile, clickhouse_with

DATABASE = "pintally"
_, READER = users(DATABASE)
NOW = int(time.time())
HOURS = 3 * 3600  # what the dashboard shows at first
PANELS = list(queries("engagement"))
[PINS] = [each["query"] for each in dashboard("engagement")["templating"]["list"] if each["name"] == "pin"]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseAddress]:
    """Four hours of emulated traffic up to now, sealed; to be read by a user with the rights of readers alone."""
    with clickhouse_with(
        tmp_path_factory.mktemp("own"), {READER.name: Profile(grants=READER.grants)}, DATABASE
    ) as address:
        migrate(address)
        fill(address, World(NOW // 600 * 600, hours=4))
        yield address


def ask(address: ClickHouseAddress, query: str) -> list[tuple[Any, ...]]:
    with Client(address.host, address.port, user=READER.name, database=DATABASE) as client:
        answer: list[tuple[Any, ...]] = client.execute(query)
        return answer


@pytest.mark.engines
@pytest.mark.parametrize("asked", PANELS, ids=lambda asked: asked.panel)
def test_a_panel_has_something_to_show(reading: ClickHouseAddress, asked: Asked) -> None:
    [(pin,)] = ask(reading, "SELECT toString(pin_id) FROM pin_top_1h ORDER BY place LIMIT 1")  # has events lately
    rows = ask(reading, sql(asked.query, NOW - HOURS, NOW + 60, pin))
    assert rows
    assert any(value for row in rows for value in row[1:] or row)


@pytest.mark.engines
def test_the_list_of_pins_is_the_top_of_a_day(reading: ClickHouseAddress) -> None:
    pins = ask(reading, PINS)
    assert 50 < len(pins) <= 100
    assert all(isinstance(pin, str) for [pin] in pins)


@pytest.mark.engines
def test_the_user_of_readers_sees_no_dead_letters(reading: ClickHouseAddress) -> None:
    with pytest.raises(Exception, match="Not enough privileges"):
        ask(reading, "SELECT count() FROM dead_letters")
