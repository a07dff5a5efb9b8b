"""`pintally top` over several servers: all of them answer at one cut, however many a server published at once."""

from collections.abc import Iterator

import pytest

from pintally.cli.top_answer import Asked, Document, recent, trending
from pintally.cli.top_shards import ask_all
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import HOUR, YESTERDAY, read
from tests.support.cells import cells
from tests.support.engines import TestEngines, tables

TEN = 600
CUT = YESTERDAY + 10 * HOUR  # the newest of one server; the other, which was quiet, has published the next ones with it
BUSY, QUIET = 7, 8  # pins
Connections = list[Connection]


@pytest.fixture
def connections(engines: TestEngines) -> Iterator[Connections]:
    with tables(engines.addresses) as busy, tables(engines.addresses) as quiet:
        _fill(busy, BUSY, CUT - TEN, CUT)
        _fill(quiet, QUIET, CUT - HOUR, CUT + 3 * TEN)
        took = "SELECT dateDiff('ms', min(published_at), max(published_at)) FROM cuts"
        assert read(quiet, f"{took} WHERE cut >= toDateTime({CUT}, 'UTC')") == [(3,)], "they were published at once"
        with Connection(busy, 30) as one, Connection(quiet, 30) as other:
            yield [one, other]


def _fill(address: ClickHouseAddress, pin: int, bucket: int, until: int) -> None:
    sealed(address, cells((1, 1, bucket, 1, bucket, pin, 5, 10)), until=until)


def shown(answer: Document) -> tuple[dict[str, int], str]:
    return {pin["pin_id"]: pin["saves"] for pin in answer["pins"]}, answer["as_of"][11:16]


def test_the_last_hour_is_that_of_the_cut_which_all_have(connections: Connections) -> None:
    answer = ask_all(connections, Asked(), lambda of, asked: recent(of, "1h", asked), at_a_cut=True)
    assert shown(answer) == ({"7": 5, "8": 5}, "10:00")


def test_so_is_the_trend(connections: Connections) -> None:
    answer = ask_all(connections, Asked(by="trend"), trending, at_a_cut=True)
    assert shown(answer) == ({"7": 5, "8": 5}, "10:00")
    assert answer["pins"][0] == trending(connections[0], Asked(by="trend"))["pins"][0], "as the view says it"
