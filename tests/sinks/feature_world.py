"""Some days of events, sealed by the product: what the tests of features share, and do not change."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import TODAY
from tests.support.cells import cells
from tests.support.engines import TestEngines, drop_database
from tests.support.true_features import ACTIONS, DAY, HOUR, TEN, Event

END = TODAY - HOUR  # the last cut: of yesterday evening
PINS = 40


def arrivals(chance: random.Random) -> list[Event]:
    """Nine days ago, some hours of three days, and the last hours: in time, late, from a clock ahead, and replayed."""
    starts = (END - 9 * DAY, END - 2 * DAY - 2 * HOUR, END - DAY - HOUR, END - 3 * HOUR, END - HOUR)
    events = []
    for start in starts:
        for _ in range(120):
            arrived = start + chance.choice((0, 4)) * TEN
            delay = chance.choice((0, 30, 60, 200, 900, 3500, -200))
            happened = arrived + chance.randrange(TEN) - delay
            events.append(_event(chance, arrived, happened))
        ages = (2, 5, 26, 170, 24 * 29, 24 * 32)  # hours: nothing is late in a replay topic
        events += [_event(chance, start + 4 * TEN, start - age * HOUR) for age in ages]
    return events


def _event(chance: random.Random, arrived: int, happened: int) -> Event:
    pin = min(PINS, int(1.1 ** chance.randrange(45)))
    action, events = chance.choice(ACTIONS), chance.choice((1, 1, 1, 2, 7))
    return Event(arrived, happened // 60 * 60, pin, action, events, chance.choice((0, 0, events - 1)))


def as_cells(events: list[Event]) -> PinMinuteRows:
    """A cell of each, in a slice of its own."""
    rows = [
        (1, place, e.arrived_at, e.action, e.minute, e.pin, e.events, 10, UNKNOWN, UNKNOWN, e.events - e.untrusted)
        for place, e in enumerate(events)
    ]
    return cells(*rows)


@dataclass(frozen=True, slots=True)
class FeatureWorld:
    """Events, and the database in which they are sealed."""

    events: list[Event]
    address: ClickHouseAddress


@contextmanager
def sealed_events(engines: TestEngines, events: list[Event]) -> Iterator[FeatureWorld]:
    """A database in which these events are sealed, and each cut was published a second after its bucket ended."""
    name = f"t{uuid4().hex[:12]}"
    made = Settings.of(env_file=None, **engines.addresses.settings(), clickhouse_database=name).clickhouse
    migrate(made)
    try:
        sealed(made, as_cells(events), until=END)
        _publish_apart(made)
        yield FeatureWorld(events, made)
    finally:
        drop_database(engines.addresses, name)


def _publish_apart(address: ClickHouseAddress) -> None:
    with Connection(address, 60) as connection:
        rows = connection.rows("SELECT cut, hours_until, seal FROM cuts")
        connection.execute("TRUNCATE TABLE cuts")
        moved = [(cut, until, datetime.fromtimestamp(cut.timestamp() + 1, UTC), seal) for cut, until, seal in rows]
        connection.insert("cuts", ("cut", "hours_until", "published_at", "seal"), moved)
