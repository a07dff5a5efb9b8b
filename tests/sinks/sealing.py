"""What the tests of views and sealing share: some cells, what readers see, and statements that can be watched."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pintally.schemas.cells import CellRows, PinMinuteRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, TRUSTED, each
from pintally.sinks.clickhouse.sealing.reopening import Reopening
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.support.cells import cells

HOUR = 3600
DAY = 86_400
TODAY = int(time.time()) // DAY * DAY
YESTERDAY = TODAY - DAY

COUNTS = ", ".join(f"sum({name})" for name in (*COLUMNS, *TRUSTED))
MINUTES = "pin_engagement_1m"
LABELS = (
    f"(SELECT minute AS window_start, pin_id, of AS dimension, if(of = 'surface', surface, platform) AS label,"
    f" {each('events * (action = {number}) AS {column}')}, {each('trusted * (action = {number}) AS trusted_{column}')},"
    " updated_at FROM minutes_read ARRAY JOIN ['surface', 'platform'] AS of WHERE events > 0)"
)
HOURS, DAYS = "toStartOfHour(window_start)", "toStartOfDay(window_start)"
LABEL = "toString(dimension), toString(label)"
COMPARED = {  # what is shown, what it is made of, the window, and what else a row is of
    "hours": ("pin_engagement_1h", MINUTES, HOURS, "pin_id"),
    "days": ("pin_engagement_1d", MINUTES, DAYS, "pin_id"),
    "breakdowns of hours": ("pin_breakdown_1h", LABELS, HOURS, f"pin_id, {LABEL}"),
    "breakdowns of days": ("pin_breakdown_1d", LABELS, DAYS, f"pin_id, {LABEL}"),
}


def some_cells(version: int = 10, *, slice_block: int = 0, count: int = 3, start: int = YESTERDAY) -> PinMinuteRows:
    """Two pins in two hours of one day and one of the next, on several surfaces; also a cell whose count is 0."""
    minutes = [start + 3 * HOUR, start + 3 * HOUR + 60, start + 22 * HOUR, start + DAY + 120]
    rows = [
        (1, slice_block, start, action, minute, pin, count, version, surface, platform, count - count // 3)
        for minute, surface in zip(minutes, ("home", "search", "home", "unknown"), strict=True)
        for action, pin, platform in ((1, 7, "ios"), (3, 8, "web"))
    ]
    return cells(*rows, (1, slice_block, start, 2, minutes[0], 9, 0, version))


def write(address: ClickHouseAddress, rows: CellRows) -> None:
    """One flush's cells."""
    with ClickHouseSink(address).session() as session:
        session.write_cells(rows)


def read(address: ClickHouseAddress, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, as a reader gets them."""
    with Connection(address, 30) as connection:
        return connection.rows(sql)


def reopen_from(address: ClickHouseAddress, moment: int) -> None:
    """What a change of the rules opens: sealed hours from a moment (seconds since 1970) on."""
    with Connection(address, 30) as connection:
        Reopening(connection).reopen_from(moment)


def disagreements(address: ClickHouseAddress) -> list[str]:
    """Resolutions that are not the sums of minutes."""
    with Connection(address, 30) as connection:
        return [
            name
            for name, (shown, source, window, key) in COMPARED.items()
            if connection.rows(_summed(shown, window, key)) != connection.rows(_summed(source, window, key))
        ]


def _summed(source: str, window: str, key: str) -> str:
    """Counts by window and key."""
    return f"SELECT {window} AS w, {key}, {COUNTS}, max(updated_at) FROM {source} GROUP BY w, {key} ORDER BY w, {key}"


@contextmanager
def before_each_statement(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], None]) -> Iterator[None]:
    """Call `look` with each statement that this thread's connections are about to run."""
    execute, thread = Connection.execute, threading.get_ident()
    busy = False

    def watched(self: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal busy
        if not busy and threading.get_ident() == thread:
            busy = True
            try:
                look(sql)
            finally:
                busy = False
        return execute(self, sql, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "execute", watched)
        yield


class Crash(Exception):
    """A sealer dies here."""


def crash_before_each_statement(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], look: Callable[[], None]
) -> int:
    """Let `act` die before its first statement, then before the second that is left, and so on until it comes to its
    end; look after each death. Returns how often it died."""
    crashes = 0
    while True:
        left = crashes + 1

        def crash(_sql: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash

        try:
            with before_each_statement(monkeypatch, crash):
                act()
            return crashes
        except Crash:
            crashes += 1
            look()


def in_another_thread(call: Callable[[], object]) -> None:
    """Not watched by `before_each_statement`."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
