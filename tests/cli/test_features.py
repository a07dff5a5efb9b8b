"""`pintally features`: numbers of one cut, as a table and as JSON."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from pintally import cli
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from tests.sinks.known import TEN, Fact, cells_of
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import HOUR, YESTERDAY, read
from tests.support.engines import TestEngines, tables

CUT = YESTERDAY + 16 * HOUR
FACTS = [
    Fact(at, at, pin, action, pin * action)
    for at in range(CUT - 3 * HOUR, CUT + TEN, TEN)
    for pin in (7, 8)
    for action in Action
]


@pytest.fixture(scope="module")
def address(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    with tables(engines.addresses) as made:
        sealed(made, cells_of(FACTS), until=CUT)
        yield made


def run(address: ClickHouseAddress, *options: str) -> Any:
    names = ("host", "port", "user", "database")
    environment = {f"PINTALLY_CLICKHOUSE_{name.upper()}": str(getattr(address, name)) for name in names}
    environment["PINTALLY_CLICKHOUSE_PASSWORD"] = address.password.get_secret_value()
    ended = CliRunner().invoke(cli.app, ["features", *options], env=environment, catch_exceptions=False)
    return json.loads(ended.stdout) if "--json" in options else ended.output


def test_every_feature_of_each_pin_is_that_of_the_view_in_the_order_asked(address: ClickHouseAddress) -> None:
    shown = run(address, "8", "7", "99", "--json")
    assert shown["as_of"] == datetime.fromtimestamp(CUT, UTC).isoformat()
    assert [pin["pin_id"] for pin in shown["pins"]] == ["8", "7", "99"]
    for pin in shown["pins"][:2]:
        names = [name for name in pin if name != "pin_id"]
        row = read(address, f"SELECT {', '.join(names)} FROM pin_features_latest WHERE pin_id = {pin['pin_id']}")
        assert [pin[name] for name in names] == list(row[0])
    absent = shown["pins"][2]
    assert (absent["saves_30d"], absent["save_rate_24h"]) == (0, None)


def test_the_table_has_a_line_for_each_window_and_says_its_cut(address: ClickHouseAddress) -> None:
    said = run(address, "7").splitlines()
    assert said[0] == f"Pin 7, as of {datetime.fromtimestamp(CUT, UTC):%Y-%m-%d %H:%M} UTC"
    hour = next(line.split() for line in said if line.startswith("1h "))
    counts = [7 * action * 6 for action in Action]
    assert hour == ["1h", *map(str, counts), str(sum(counts))]
    assert said[-1].startswith("trend of the last hour: ")


def test_before_the_first_cut_nothing_is_known_and_a_wrong_time_is_refused(address: ClickHouseAddress) -> None:
    assert "no cut was published by then" in run(address, "7", "--as-of", "2026-01-01")
    with pytest.raises(PintallyError, match="'noon' is not a time"):
        run(address, "7", "--as-of", "noon")
