"""Features over several servers: what was served at a moment is what is asked later, whatever a server published at
once."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest

from pintally.schemas.shards import shard_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.all_shards import Servers, online_of, pairs_of
from pintally.sinks.reads.cuts import in_ms
from pintally.sinks.reads.online import feature_types
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import HOUR, YESTERDAY, read
from tests.support.cells import cells
from tests.support.engines import TestEngines, tables

TEN = 600
CUT = YESTERDAY + 10 * HOUR  # the newest of one server; the other, which was quiet, has published the next ones with it
PINS = np.array([np.flatnonzero(shard_of(np.arange(100, dtype=np.uint64), 2) == n)[0] for n in (0, 1)], np.uint64)
Answer = TypeVar("Answer")


class Open:
    """Servers with a connection to each."""

    def __init__(self, *connections: Connection) -> None:
        self.connections = connections

    def __len__(self) -> int:
        return len(self.connections)

    def ask(self, number: int, question: Callable[[Connection], Answer]) -> Answer:
        return question(self.connections[number])


@pytest.fixture
def servers(engines: TestEngines) -> Iterator[Servers]:
    with tables(engines.addresses) as busy, tables(engines.addresses) as quiet:
        _fill(busy, int(PINS[0]), CUT - TEN, CUT)
        _fill(quiet, int(PINS[1]), CUT - HOUR, CUT + 3 * TEN)
        took = "SELECT dateDiff('ms', min(published_at), max(published_at)) FROM cuts"
        assert read(quiet, f"{took} WHERE cut >= toDateTime({CUT}, 'UTC')") == [(3,)], "they were published at once"
        with Connection(busy, 30) as one, Connection(quiet, 30) as other:
            yield Open(one, other)


def _fill(address: ClickHouseAddress, pin: int, bucket: int, until: int) -> None:
    sealed(address, cells((1, 1, bucket, 1, bucket, pin, 5, 10)), until=until)


def test_what_is_served_over_shards_is_what_is_asked_later(servers: Servers) -> None:
    online = online_of(servers, PINS, feature_types())
    published = [online.cuts[place].published_at for place in online.at.tolist()]
    moments = np.array([in_ms(moment) * 1000 for moment in published if moment], np.int64)
    cuts, later = pairs_of(servers, PINS, moments, feature_types(), "arrived", lambda *_: None)
    assert cuts.tolist() == [cut.moment for cut in online.cuts]
    for name, column in online.columns.items():
        np.testing.assert_array_equal(later[name], column, name)
