"""Cells of buckets before the first one, that come just before the first cut is published."""

import pytest

from pintally.sinks.clickhouse.sealing import recheck
from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import HOUR, TEN, seal_all, wrong
from tests.sinks.sealing import YESTERDAY, Crash, before_each_statement, in_another_thread, read, write
from tests.support.cells import cells

NOON = YESTERDAY + 12 * HOUR


@pytest.mark.parametrize("dies", [False, True], ids=["same sealer", "next sealer"])
def test_cells_of_older_buckets_that_land_before_the_first_cut_are_known(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """Their writer finds no cut and opens nothing, and the sealer began with a later bucket."""
    address, landed = stack.clickhouse, False

    def land(sql: str) -> None:
        nonlocal landed
        if landed and dies:
            raise Crash
        if sql.lstrip().startswith("INSERT INTO cuts") and not landed:
            landed = True
            rows = [(2, 0, NOON - at, 1, NOON - at - late, 5, 3, 9) for at in (TEN, 6 * TEN) for late in (60, 2 * HOUR)]
            in_another_thread(lambda: write(address, cells(*rows)))

    write(address, cells((1, 0, NOON, 1, NOON - 60, 7, 1, 1)))
    with before_each_statement(monkeypatch, land):
        if dies:
            with pytest.raises(Crash):
                seal_all(address, NOON + TEN)
        else:
            seal_all(address, NOON + TEN)
    assert landed
    recheck._seen.clear()  # another process
    seal_all(address, NOON + 3 * TEN)
    assert read(address, "SELECT count() > 0 FROM cuts") == [(1,)]
    assert wrong(address) == {}
