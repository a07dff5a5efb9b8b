"""What is published is read first: a cut that a reader of features sees, he has read in full."""

import random
import threading
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
# A second is counted once it is over: who is listed waits for cuts.
WAITING = (
    "SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query LIKE '%pin_features%'"
    " AND ProfileEvents['SleepFunctionCalls'] > 0"
)
WAIT = "WITH (SELECT count() FROM numbers({seconds}) WHERE sleep(1) SETTINGS max_block_size = 1) AS waited SELECT"
SECONDS = (10, 60)  # a busy machine may seal for longer than readers wait at first


def arrivals(bucket: int, number: int) -> list[Event]:
    chance = random.Random(bucket)
    minutes = (bucket + 60 * chance.randrange(-20, 10) for _ in range(number))
    return [Event(bucket, minute, chance.randrange(1, 20), chance.choice(ACTIONS)) for minute in minutes]


def read_cuts_late(address: ClickHouseAddress, seconds: int) -> None:
    """So many seconds pass between the moment when a query is looked at and the moment when cuts are."""
    [view] = [
        each for each in statements(script_of("features.sql")) if each.startswith("CREATE OR REPLACE VIEW cuts_read")
    ]
    wait = WAIT.format(seconds=seconds)
    late = view.replace("AS SELECT", f"AS {wait}").replace("FROM cuts\nWHERE", "FROM cuts_late\nWHERE waited = 0 AND")
    assert late.count("waited") == 2
    read(address, "CREATE VIEW IF NOT EXISTS cuts_late AS SELECT * FROM cuts")
    read(address, late)


def read_meanwhile(address: ClickHouseAddress, new: list[Event], until: int) -> dict[str, list[tuple[Any, ...]]] | None:
    """What readers find who wait for cuts while one is published; None if they waited too short."""
    found = dict[str, list[tuple[Any, ...]]]()
    readers = [
        threading.Thread(target=lambda v=view: found.update({v: read(address, f"SELECT * FROM {v}")})) for view in VIEWS
    ]
    for reader in readers:
        reader.start()
    assert wait_until(lambda: read(address, WAITING) >= [(len(VIEWS),)] or found, 180)
    version = [(1, 1000 + place, e.arrived_at, e.action, e.minute, e.pin, e.events, 10) for place, e in enumerate(new)]
    sealed(address, cells(*version), until=until)
    waited = all(reader.is_alive() for reader in readers)
    for reader in readers:
        reader.join()
    return found if waited else None


def test_a_cut_that_is_published_while_a_reader_waits_is_read_in_full(stack: Settings) -> None:
    address, cut, found = stack.clickhouse, CUT, None
    events = [event for bucket in (CUT - 3 * HOUR, CUT - HOUR, CUT - TEN) for event in arrivals(bucket, 60)]
    sealed(address, as_cells(events), until=CUT)
    for seconds in SECONDS:
        read_cuts_late(address, seconds)
        new = arrivals(cut, 60)
        found = read_meanwhile(address, new, cut + TEN)
        events, cut = [*events, *new], cut + TEN
        if found:
            break
    assert found, "sealing took longer than the readers waited"
    expected = true_features(events, cut)
    for view in VIEWS:
        assert {row[-1].timestamp() for row in found[view]} == {cut}, view
        assert {row[0]: tuple(row[1:-1]) for row in found[view]} == expected, view
