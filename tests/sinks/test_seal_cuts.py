"""Readers of any cut find the cells that arrived before it, whenever cells come and whoever seals."""

from random import Random

import pytest

from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import HOUR, TEN, published, seal_all, sealed, wrong
from tests.sinks.sealing import DAY, YESTERDAY, read, write
from tests.support.cells import cells

EVENING = YESTERDAY + 21 * HOUR
LATENESSES = (0, HOUR, 2 * HOUR + 1)


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


class Traffic:
    """Random cells. A version is a number that grows, so that what comes later is current."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.version = 0

    def cells(self, buckets: list[int], latest: int, count: int, replayed: float = 0.1) -> CellRows:
        """Cells that arrive in some of these buckets, at most `latest` seconds late, or replayed after days."""
        rows = []
        for _ in range(count):
            self.version += 1
            bucket = self.random.choice(buckets)
            late = self.random.randrange(3 * DAY) if self.random.random() < replayed else self.random.randrange(latest)
            minute = (bucket + self.random.randrange(-TEN, TEN) - late) // 60 * 60
            slice_block, action, pin = self.random.randrange(3), self.random.randint(1, 3), self.random.randint(1, 4)
            rows.append((1, slice_block, bucket, action, minute, pin, self.random.randint(0, 5), self.version))
        return cells(*rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_of_any_cut_finds_the_cells_that_arrived_before_it(seed: int, address: ClickHouseAddress) -> None:
    """Buckets are empty or not, cells late or replayed, and the lateness changes; then cells come for what is sealed."""
    traffic, random = Traffic(seed), Random(seed)
    first = EVENING - random.randrange(6) * TEN
    buckets = [first + n * TEN for n in range(15) if n < 2 or random.random() < 0.5]
    for until in (first + 6 * TEN, first + 12 * TEN, first + 8 * HOUR):
        arriving = [b for b in buckets if until - 6 * TEN <= b < until] or [until - TEN]
        sealed(address, traffic.cells(arriving, HOUR, 30), until=until, lateness=random.choice(LATENESSES))
    cuts = published(address)
    assert cuts == list(range(cuts[0], first + 8 * HOUR + 1, TEN))
    assert wrong(address) == {}
    write(address, traffic.cells([*buckets, first - 5 * TEN], 3 * HOUR, 30))
    seal_all(address, first + 8 * HOUR)
    assert wrong(address) == {}
    assert read(address, "SELECT count() FROM feature_seals FINAL WHERE is_open") == [(0,)]


def small(address: ClickHouseAddress) -> None:
    """Two buckets: at the cut after them the first hour of a day is complete, and a base is needed."""
    midnight = YESTERDAY + DAY
    rows = [(1, n, midnight + n * TEN, 1 + n % 3, midnight + n * 60, n % 2, 3, 10) for n in range(2)]
    write(address, cells(*rows, (1, 2, midnight + TEN, 1, midnight - 3 * HOUR, 7, 5, 10)))


MIDNIGHT = YESTERDAY + DAY
LAST = MIDNIGHT + 2 * HOUR  # the cut at which the first hour of the day is complete, by the least lateness


def test_a_crash_before_any_statement_changes_nothing_that_readers_see_and_the_next_call_goes_on(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(address)
    crashes, done = 0, False
    while not done:
        left = crashes + 1

        def crash(_sql: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash

        try:
            with before_each_statement(monkeypatch, crash):
                seal_cuts(address, LAST, HOUR)
            done = True
        except Crash:
            crashes += 1
            assert wrong(address) == {}
    assert crashes > 30
    assert published(address) == list(range(MIDNIGHT + TEN, LAST + 1, TEN))
    assert wrong(address) == {}
