"""A sealed day, opened on the last day on which that is done, when midnights pass before anybody seals it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.streams.settings import Settings
from tests.sinks.sealing import DAY, HOUR, TODAY, read, write
from tests.support.cells import cells

NOW = "now('UTC')"
TABLES = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
OPENED = 88  # days after it: the last on which a sealed day is opened


@contextmanager
def days_ago(days: int, address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All SQL, that of the views too, takes it to be so many days ago."""
    execute = Connection.execute

    def earlier(self: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        return execute(self, sql.replace(NOW, f"({NOW} - INTERVAL {days} DAY)"), *args, **kwargs)

    with Connection(address, 30) as connection:  # what is deleted with age is so when parts are merged
        tables = [f"`{address.database}`.{name}" for (name,) in connection.rows(TABLES)]
        for table in tables:
            connection.execute(f"SYSTEM STOP MERGES {table}")
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", earlier)
        migrate(address)
        yield
    migrate(address)


@pytest.mark.parametrize(("midnights", "surface"), [(1, "home"), (2, "home"), (3, "unknown")])
def test_a_day_that_was_opened_stays_with_readers_however_many_midnights_pass(
    midnights: int, surface: str, stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, day = stack.clickhouse, TODAY - (OPENED + midnights) * DAY
    with days_ago(midnights, address, monkeypatch):
        write(address, cells((1, 0, day, 1, day + HOUR, 7, 5, 10, surface, "unknown", 5)))
        assert day in seal(address, day + 2 * DAY).days
        write(address, cells((1, 5, TODAY, 1, day + HOUR, 7, 3, 10, surface, "unknown", 3)))
        assert shown(address, day) == {"pin_engagement_1d": 8, "surface": 8, "platform": 8}
    left_out_by_a_sealer_that_ended(address, day)
    saves = 8 if midnights == 1 else 5  # else the minutes of what opened it are gone too
    for _ in range(2):
        seal(address, day + 2 * DAY)
        assert shown(address, day) == {"pin_engagement_1d": saves, "surface": saves, "platform": saves}
        assert read(address, "SELECT open_days FROM seal_state") == [([],)]


def left_out_by_a_sealer_that_ended(address: ClickHouseAddress, day: int) -> None:
    """Rows that it did not come to publish."""
    with Connection(address, 30) as connection:
        number = allocate_seal_id(connection)
        connection.insert("pin_days", ("window_start", "pin_id", "saves", "seal"), [(day, 7, 1, number)])


def shown(address: ClickHouseAddress, day: int) -> dict[str, int]:
    """The saves of a day: of its pins, and by each dimension."""
    where = f"WHERE window_start = toDateTime({day}, 'UTC')"
    ((saves,),) = read(address, f"SELECT sum(saves) FROM pin_engagement_1d {where}")
    by = read(address, f"SELECT toString(dimension), sum(saves) FROM pin_breakdown_1d {where} GROUP BY 1")
    return {"pin_engagement_1d": saves, **dict(by)}
