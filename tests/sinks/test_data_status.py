"""`data_status`: of each kind of window, how many of those that readers read are to be sealed again."""

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.feature_seals import BASE, HOURS, TILES, Name, open_windows
from pintally.sinks.clickhouse.sealing.reopen import reopen
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import TEN, seal_all, sealed
from tests.sinks.sealing import DAY, HOUR, TODAY, YESTERDAY, read
from tests.support.cells import cells

EARLIER = YESTERDAY - DAY
CUT = YESTERDAY + 6 * HOUR
ALL_READY = dict.fromkeys(("tiles", "complete_hours", "base", "hours", "days"), (0, "READY"))
FEATURES = {
    "tiles": (TILES, CUT - TEN, TEN),
    "complete_hours": (HOURS, CUT - 2 * HOUR, HOUR),
    "base": (BASE, YESTERDAY, DAY),
}


def status(address: ClickHouseAddress) -> dict[str, tuple[int, str]]:
    """Of each kind of window how many are open, and the word for it."""
    found = read(address, "SELECT toString(data), open_windows, toString(status) FROM data_status")
    return {data: (open_windows, word) for data, open_windows, word in found}


def open_features(address: ClickHouseAddress, *names: Name) -> None:
    with Connection(address, 30) as connection:
        open_windows(connection, names)


def test_windows_that_are_to_be_sealed_again_are_told_until_they_are(stack: Settings) -> None:
    """The newest one of each kind, which everybody reads, is told as one before it is."""
    address = stack.clickhouse
    hours = (EARLIER + 3 * HOUR, EARLIER + 23 * HOUR, YESTERDAY + 2 * HOUR)
    rows = [(1, place, hour, 1, hour, 7, 3, 10) for place, hour in enumerate(hours)]
    sealed(address, cells(*rows), until=CUT)
    seal(address, TODAY)
    assert status(address) == ALL_READY

    for data, (kind, newest, length) in FEATURES.items():
        open_features(address, (kind, newest))
        assert status(address) == ALL_READY | {data: (1, "PROCESSING")}
        open_features(address, (kind, newest - length))
        assert status(address) == ALL_READY | {data: (2, "PROCESSING")}
        seal_all(address, CUT)
        assert status(address) == ALL_READY

    with Connection(address, 30) as connection:
        reopen(connection, [hours[0], hours[1]])
    assert status(address) == ALL_READY | {"hours": (2, "PROCESSING"), "days": (1, "PROCESSING")}
    seal(address, TODAY)
    assert status(address) == ALL_READY


@pytest.mark.parametrize("kind", [TILES, HOURS])
def test_a_window_of_cuts_to_come_is_not_told_as_open(kind: str, stack: Settings) -> None:
    """It is sealed with the cut that first needs it."""
    address = stack.clickhouse
    sealed(address, cells((1, 1, YESTERDAY, 1, YESTERDAY, 7, 3, 10)), until=YESTERDAY + HOUR + TEN)
    open_features(address, (kind, YESTERDAY + 3 * HOUR))
    assert status(address)["complete_hours" if kind == HOURS else kind][0] == 0
