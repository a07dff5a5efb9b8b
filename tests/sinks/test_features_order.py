"""What is published is read first: a cut that a reader of features sees, he has read in full."""

import random
import threading
import time
from typing import Any

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.scripts import script_of, statements
from pintally.streams.settings import Settings
from pintally.tools.engines.ready import wait_until
from tests.sinks.feature_world import as_cells
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import TODAY, read
from tests.support.cells import cells
from tests.support.true_features import ACTIONS, HOUR, TEN, Event, true_features

CUT = TODAY - 6 * HOUR
VIEWS = ("pin_features_latest", "pin_features(as_of = now('UTC') + INTERVAL 50 SECOND)")
WAITING = (
    "SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query LIKE '%pin_features%'"
)
WAIT = "WITH (SELECT count() FROM numbers(10) WHERE sleep(1) SETTINGS max_block_size = 1) AS waited SELECT"


def arrivals(bucket: int, number: int) -> list[Event]:
    chance = random.Random(bucket)
    minutes = (bucket + 60 * chance.randrange(-20, 10) for _ in range(number))
    return [Event(bucket, minute, chance.randrange(1, 20), chance.choice(ACTIONS)) for minute in minutes]


def read_cuts_late(address: ClickHouseAddress) -> None:
    """Ten seconds pass between the moment when a query is looked at and the moment when cuts are."""
    [view] = [
        each for each in statements(script_of("features.sql")) if each.startswith("CREATE OR REPLACE VIEW cuts_read")
    ]
    late = view.replace("AS SELECT", f"AS {WAIT}").replace("FROM cuts\nWHERE", "FROM cuts_late\nWHERE waited = 0 AND")
    assert late.count("waited") == 2
    read(address, "CREATE VIEW cuts_late AS SELECT * FROM cuts")
    read(address, late)


def test_a_cut_that_is_published_while_a_reader_waits_is_read_in_full(stack: Settings) -> None:
    address, found = stack.clickhouse, dict[str, list[tuple[Any, ...]]]()
    events = [event for bucket in (CUT - 3 * HOUR, CUT - HOUR, CUT - TEN) for event in arrivals(bucket, 60)]
    sealed(address, as_cells(events), until=CUT)
    read_cuts_late(address)
    readers = [
        threading.Thread(target=lambda v=view: found.update({v: read(address, f"SELECT * FROM {v}")})) for view in VIEWS
    ]
    for reader in readers:
        reader.start()
    wait_until(lambda: read(address, WAITING) >= [(len(VIEWS),)], 60)
    time.sleep(0.5)
    more = arrivals(CUT, 60)
    version = [(1, 1000 + place, e.arrived_at, e.action, e.minute, e.pin, e.events, 10) for place, e in enumerate(more)]
    sealed(address, cells(*version), until=CUT + TEN)
    assert all(reader.is_alive() for reader in readers), "sealing took longer than the readers waited"
    for reader in readers:
        reader.join()
    expected = true_features([*events, *more], CUT + TEN)
    for view in VIEWS:
        assert {row[-1].timestamp() for row in found[view]} == {CUT + TEN}, view
        assert {row[0]: tuple(row[1:-1]) for row in found[view]} == expected, view
