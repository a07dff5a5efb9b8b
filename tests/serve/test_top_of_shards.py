"""The top pins of the live page where several servers share the pins: equal counts by pin, as in every other list."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pintally.schemas.shards import Place
from pintally.serve.questions import TOP_PINS, AskTables
from pintally.sinks.clickhouse.shards import take_place
from pintally.streams.settings import Settings
from tests.sinks.sealing import write
from tests.support.cells import cells
from tests.support.engines import TestEngines, own_tables


@pytest.fixture
def shards(engines: TestEngines) -> Iterator[Settings]:
    """Two, each with as many pins as are shown; odd ones on the first. All have two events, but the last has three."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(own_tables(engines.addresses)) for _ in range(2))
        minute = int(time.time()) // 60 * 60
        for number, settings in enumerate((first, second)):
            take_place(settings.clickhouse, Place(number, 2))
            pins = range(1 + number, 2 * TOP_PINS + 1, 2)
            rows = [(1, 1, minute // 600 * 600, 1, minute, pin, 2 + (pin == 2 * TOP_PINS), 9) for pin in pins]
            write(settings.clickhouse, cells(*rows))
        at = second.clickhouse
        yield first.changed(shards=2, clickhouse_other_shards=f"{at.host}:{at.port}:{at.http_port}/{at.database}")


def test_of_equal_counts_the_lower_pin_is_first_whichever_server_has_it(shards: Settings) -> None:
    asks = AskTables(shards)
    try:
        top = asks.look().top
    finally:
        asks.close()
    assert [(pin.pin_id, pin.events) for pin in top] == [(2 * TOP_PINS, 3), *((pin, 2) for pin in range(1, TOP_PINS))]
