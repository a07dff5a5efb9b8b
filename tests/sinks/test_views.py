"""What readers see: three resolutions that agree at every moment, quickly, by any door."""

import re
import threading
import urllib.parse
import urllib.request
from typing import Any

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from pintally.tools.engines.ready import wait_until
from tests.sinks.sealing import (
    DAY,
    HOUR,
    TODAY,
    YESTERDAY,
    before_each_statement,
    disagreements,
    read,
    some_cells,
    write,
)
from tests.support.engines import TestEngines, tables

# A second is counted once it is over: who is listed waits, and has found its rows.
WAITING = (
    "SELECT 1 FROM system.processes WHERE current_database = currentDatabase() AND query LIKE 'SELECT saves, is_final%'"
    " AND ProfileEvents['SleepFunctionCalls'] > 0"
)
SECONDS = (10, 60)  # a busy machine may seal for longer than a reader waits at first
COUNTS = [f"{prefix}{column}" for prefix in ("", "trusted_") for column in ("saves", "clicks", "closeups")]
ENGAGEMENT = ("pin_engagement_1m", "pin_engagement_1h", "pin_engagement_1d")
BREAKDOWNS = ("pin_breakdown_1h", "pin_breakdown_1d")
VIEWS = (*ENGAGEMENT, *BREAKDOWNS)


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    write(stack.clickhouse, some_cells())
    return stack.clickhouse


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_exactly_the_promised_columns(address: ClickHouseAddress, view: str) -> None:
    key = ["window_start", "pin_id", *(["dimension", "label"] if view in BREAKDOWNS else [])]
    assert [row[0] for row in read(address, f"DESCRIBE {view}")] == [*key, *COUNTS, "updated_at", "is_final"]


def test_hours_and_days_equal_their_minutes_between_any_two_statements_of_sealing(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[tuple[str, list[str]]] = []
    written = True

    def look(sql: str) -> None:
        nonlocal written
        if written:  # nobody else writes: behind a SELECT everything is as it was before it
            wrong.extend([(sql, found)] if (found := disagreements(address)) else [])
        written = not sql.lstrip().startswith("SELECT")

    with before_each_statement(monkeypatch, look):
        seal(address, TODAY + HOUR)
        look("the end of sealing")
        write(address, some_cells(20, slice_block=1))
        look("the end of a late write")
        seal(address, TODAY + HOUR)
    assert wrong == []
    assert disagreements(address) == []


def test_a_reader_never_misses_an_hour_while_it_is_being_sealed(address: ClickHouseAddress) -> None:
    expected = read(address, "SELECT window_start, pin_id, saves, clicks, closeups FROM pin_engagement_1h ORDER BY ALL")
    seen, ended = [], threading.Event()

    def keep_reading() -> None:
        while not ended.is_set():
            seen.append(
                read(
                    address, "SELECT window_start, pin_id, saves, clicks, closeups FROM pin_engagement_1h ORDER BY ALL"
                )
            )

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        for hours in range(1, 26):
            seal(address, YESTERDAY + hours * HOUR)
    finally:
        ended.set()
        reader.join()
    assert len(seen) > 5
    assert all(rows == expected for rows in seen)


def test_windows_are_final_once_sealed_and_not_before(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    for view in VIEWS:
        rows = read(address, f"SELECT toUnixTimestamp(window_start), is_final FROM {view}")
        assert {(start < TODAY) == is_final for start, is_final in rows} == {True}


def test_a_pin_whose_counts_all_went_to_zero_has_no_row(address: ClickHouseAddress) -> None:
    write(address, some_cells(20, count=0))
    seal(address, TODAY)
    for view in VIEWS:
        assert read(address, f"SELECT count() FROM {view}") == [(0,)]


def test_readers_over_http_without_any_right_to_set_settings_get_the_same(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    sql = "SELECT * FROM pin_engagement_1h ORDER BY saves DESC, window_start, pin_id LIMIT 10"
    parameters = {"query": f"{sql} FORMAT TSV", "database": address.database}  # a GET is read-only
    url = f"http://{address.host}:{address.http_port}/?{urllib.parse.urlencode(parameters)}"
    headers = {"X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password.get_secret_value()}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    native = read(address, sql)
    assert [line.split("\t")[1:5] for line in lines] == [[str(value) for value in row[1:5]] for row in native]
    assert len(native) == 6


@pytest.mark.parametrize(
    ("view", "condition"),
    [
        ("pin_engagement_1m", f"pin_id = 7 AND window_start >= fromUnixTimestamp({TODAY})"),
        ("pin_engagement_1m", f"window_start = fromUnixTimestamp({TODAY + 120})"),
        ("pin_engagement_1h", f"window_start = fromUnixTimestamp({TODAY})"),
        ("pin_engagement_1h", f"pin_id = 7 AND window_start = fromUnixTimestamp({YESTERDAY + 3 * HOUR})"),
        ("pin_engagement_1d", f"pin_id = 7 AND window_start >= fromUnixTimestamp({TODAY})"),
        ("pin_breakdown_1h", f"pin_id = 7 AND window_start = fromUnixTimestamp({YESTERDAY + 3 * HOUR})"),
        ("pin_breakdown_1d", f"pin_id = 7 AND window_start >= fromUnixTimestamp({TODAY})"),
    ],
)
def test_conditions_on_window_and_pin_reach_the_primary_key(
    address: ClickHouseAddress, view: str, condition: str
) -> None:
    write(address, some_cells(start=YESTERDAY - 2 * DAY))
    seal(address, TODAY - DAY)
    plan = "\n".join(row[0] for row in read(address, f"EXPLAIN indexes = 1 SELECT * FROM {view} WHERE {condition}"))
    assert "PrimaryKey" in plan
    assert plan.count("pin_id") >= condition.count("pin_id")
    minutes = plan.split(".pin_minutes)")[1].split("ReadFromMergeTree")[0]
    left = re.findall(r"Parts: (\d+)/\d+", minutes)[-1]  # after the last index
    assert int(left) <= 1, plan


@pytest.mark.parametrize("view", VIEWS)
def test_no_other_days_than_those_asked_for_are_looked_into(address: ClickHouseAddress, view: str) -> None:
    for days in range(2, 7):
        write(address, some_cells(start=TODAY - days * DAY))
    sql = f"SELECT * FROM {view} WHERE pin_id = 7 AND window_start >= fromUnixTimestamp({TODAY})"
    plan = "\n".join(row[0] for row in read(address, f"EXPLAIN indexes = 1 {sql}")).split(".pin_minutes)")[1]
    looked_into, parts = re.findall(r"Parts: (\d+)/(\d+)", plan)[0]
    assert int(looked_into) <= 1 < 6 <= int(parts), plan


def test_a_pin_is_looked_for_before_other_columns_are_read(address: ClickHouseAddress) -> None:
    sql = "SELECT * FROM pin_engagement_1m WHERE pin_id = 7 AND saves = 3"
    plan = [row[0].strip() for row in read(address, f"EXPLAIN actions = 1 {sql}")]
    before = [line for line in plan if "Prewhere filter column:" in line]
    assert len(before) == 1, plan
    assert "pin_id" in before[0]
    assert "events" not in before[0]


def test_a_condition_on_a_count_never_finds_an_older_version_of_it(address: ClickHouseAddress) -> None:
    write(address, some_cells(20, count=4))
    older = read(address, "SELECT * FROM minutes_read WHERE events = 3 AND pin_id = 7")
    newer = read(address, "SELECT * FROM minutes_read WHERE events = 4 AND pin_id = 7")
    assert (len(older), len(newer)) == (0, 4)


def test_a_minute_is_final_where_seal_state_says_so_also_while_an_hour_awaits_correction(
    address: ClickHouseAddress,
) -> None:
    seal(address, YESTERDAY + 5 * HOUR)
    write(address, some_cells(20, slice_block=1))  # reopens an hour
    sql = "SELECT DISTINCT is_final, window_start < (SELECT sealed_until FROM seal_state) FROM pin_engagement_1m"
    assert sorted(read(address, sql)) == [(False, 0), (True, 1)]


def test_who_does_not_ask_what_is_final_does_not_wait_for_it(address: ClickHouseAddress) -> None:
    counted = "SELECT value FROM system.events WHERE event = 'ScalarSubqueriesCacheMiss'"
    read(address, "SELECT (SELECT count() FROM sealed)")  # the event is listed once it has happened
    before = read(address, counted)
    read(address, "SELECT window_start, saves FROM pin_engagement_1m WHERE pin_id = 7")
    assert read(address, counted) == before


def test_what_a_query_calls_final_it_has_read_in_full(engines: TestEngines) -> None:
    for seconds in SECONDS:
        with tables(engines.addresses) as address:
            write(address, some_cells())
            if found := read_while_it_becomes_final(address, seconds):
                break
    assert found, "sealing took longer than the reader waited"
    assert found == ([(0, False), (3, False)], [(0, True), (4, True)])


def read_while_it_becomes_final(address: ClickHouseAddress, seconds: int) -> tuple[list[Any], list[Any]] | None:
    """What a reader finds who waits so long between two looks, and what one finds then; None if it waited too short."""
    seal(address, TODAY)
    columns = "hour, minute, pin_id, action, surface, platform, events, trusted, updated_at"
    read(
        address,
        "CREATE OR REPLACE VIEW minutes_read AS SELECT * FROM"
        f" (WITH (SELECT count() FROM numbers({seconds}) WHERE sleep(1) SETTINGS max_block_size = 1) AS waited"
        f" SELECT {columns} FROM pin_minutes FINAL WHERE waited = 0)",
    )
    seen: list[tuple[object, ...]] = []
    sql = f"SELECT saves, is_final FROM pin_engagement_1m WHERE window_start = fromUnixTimestamp({TODAY + 120})"
    reader = threading.Thread(target=lambda: seen.extend(read(address, sql)))
    reader.start()
    assert wait_until(lambda: read(address, WAITING) or not reader.is_alive(), 180)
    write(address, some_cells(20, count=4))
    seal(address, TODAY + HOUR)
    waited = reader.is_alive()
    reader.join()
    return (sorted(seen), sorted(read(address, sql))) if waited else None


def test_the_top_of_a_day_reads_that_day_alone(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    days = f"toDateTime({YESTERDAY}, 'UTC') - INTERVAL number % 10 DAY"
    read(
        address,
        "INSERT INTO pin_days (window_start, pin_id, saves, clicks, closeups, updated_at, seal)"
        f" SELECT {days}, number, 1, 1, 1, now('UTC'), 0 FROM numbers(200000)",
    )
    sql = f"SELECT * FROM pin_engagement_1d WHERE window_start = fromUnixTimestamp({YESTERDAY}) ORDER BY saves DESC"
    plan = "\n".join(row[0] for row in read(address, f"EXPLAIN indexes = 1, projections = 1 {sql}"))
    assert "ReadFromMergeTree (by_day)" in plan, plan
