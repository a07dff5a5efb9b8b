"""`migrate`: once or often, alone or together, on what is there."""

import socket
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse import migrate as migrations
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout
from pintally.sinks.clickhouse.migrate import OtherLayout, migrate
from pintally.sinks.clickhouse.scripts import ONCE, REPEATABLE, script_of, statements
from pintally.sinks.clickhouse.scripts import tables as tables_of_scripts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealing import DAY, TODAY, disagreements, read, some_cells, write
from tests.support.engines import TestEngines, tables

NAMES = [*ONCE, *REPEATABLE]
TABLES = statements(script_of("001_tables.sql"))
SHOWN = ("pin_minutes", "pin_hours", "pin_days", "pin_engagement_1m", "pin_engagement_1h", "pin_engagement_1d")


@pytest.fixture
def empty(settings: Settings) -> Iterator[ClickHouseAddress]:
    yield settings.clickhouse
    with Connection(settings.clickhouse, 30, database="") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS `{settings.clickhouse.database}`")


@pytest.fixture(scope="module")
def whole(engines: TestEngines) -> Iterator[list[tuple[str, str]]]:
    """What a call makes that is not cut off, and in which sealed windows are the sums of minutes."""
    with tables(engines.addresses) as address:
        write(address, some_cells())
        seal(address, TODAY)
        assert disagreements(address) == []
        yield made(address)


def made(address: ClickHouseAddress) -> list[tuple[str, str]]:
    """All tables and views, and how they were made."""
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    return [(name, query.replace(f"{address.database}.", "")) for name, query in read(address, sql)]


def create_database(address: ClickHouseAddress) -> None:
    read(address.model_copy(update={"database": "default"}), f"CREATE DATABASE `{address.database}`")


def everything(address: ClickHouseAddress) -> list[list[tuple[object, ...]]]:
    return [read(address, f"SELECT * FROM {name} ORDER BY ALL") for name in SHOWN]


def test_the_first_call_applies_all_and_the_second_finds_nothing_new(empty: ClickHouseAddress) -> None:
    assert migrate(empty) == NAMES
    assert migrate(empty) == []


def test_four_processes_at_once_leave_the_same_tables_as_one(empty: ClickHouseAddress) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        applied = list(pool.map(migrate, [empty] * 4))
    assert {name for names in applied for name in names} == set(NAMES)
    assert migrate(empty) == []
    found = {row[0] for row in read(empty, "SHOW TABLES")}
    assert {"pin_minutes", "ingest_ledger", "sealed", "pin_engagement_1d", "superseded_cells"} <= found


@pytest.mark.parametrize("done", range(len(TABLES) + 1))
def test_a_call_that_was_cut_off_is_finished_by_the_next(
    empty: ClickHouseAddress, whole: list[tuple[str, str]], done: int
) -> None:
    create_database(empty)
    for statement in TABLES[:done]:
        read(empty, statement)
    assert migrate(empty) == NAMES
    assert made(empty) == whole


def test_each_call_makes_the_views_anew_and_leaves_what_was_counted(empty: ClickHouseAddress) -> None:
    migrate(empty)
    write(empty, some_cells())
    seal(empty, TODAY)
    before = everything(empty)
    assert all(before)
    read(empty, "CREATE OR REPLACE VIEW minutes_read AS SELECT 1 AS one")
    read(empty, "DROP VIEW superseded_cells")
    assert migrate(empty) == []
    assert everything(empty) == before
    write(empty, some_cells(20, count=4))
    seal(empty, TODAY)
    assert disagreements(empty) == []


def test_who_reads_meanwhile_notices_nothing(empty: ClickHouseAddress) -> None:
    migrate(empty)
    write(empty, some_cells())
    seal(empty, TODAY)
    sql = "SELECT * FROM pin_engagement_1d ORDER BY ALL"
    before = read(empty, sql)
    with ThreadPoolExecutor(1) as pool:
        migrated = pool.submit(lambda: [migrate(empty) for _ in range(5)])
        seen = [read(empty, sql)]
        while not migrated.done():
            seen.append(read(empty, sql))
    assert migrated.result() == [[]] * 5
    assert all(rows == before for rows in seen)


def test_tables_of_an_older_layout_are_refused_with_the_way_out(empty: ClickHouseAddress) -> None:
    create_database(empty)
    read(empty, "CREATE TABLE schema_migrations (version UInt32) ENGINE = MergeTree ORDER BY version")
    with pytest.raises(OtherLayout, match="were made by another version") as refused:
        migrate(empty)
    assert f"DROP DATABASE `{empty.database}`" in refused.value.remedy
    assert "pintally migrate" in refused.value.remedy
    assert read(empty, "SHOW TABLES") == [("schema_migrations",)]


@pytest.mark.parametrize("file", ["001_tables.sql", "002_of_tomorrow.sql"])
def test_tables_that_are_not_those_of_this_version_are_refused(empty: ClickHouseAddress, file: str) -> None:
    migrate(empty)
    read(empty, f"INSERT INTO schema_files (file, checksum) VALUES ('{file}', 'another')")
    with pytest.raises(OtherLayout):
        migrate(empty)


def test_an_action_that_comes_later_gets_its_columns_and_changes_no_count(
    empty: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if close-ups were new."""
    before = [Action.SAVE, Action.CLICK]
    with monkeypatch.context() as patch:
        patch.setattr("pintally.sinks.clickhouse.migrate.statements", partial(statements, actions=before))
        assert migrate(empty) == NAMES
    days = f"toDateTime({TODAY}, 'UTC') - INTERVAL number % 10 DAY"
    read(
        empty,
        "INSERT INTO pin_days (window_start, pin_id, saves, clicks, updated_at, seal)"
        f" SELECT {days}, number, 3, 2, now('UTC'), 7 FROM numbers(200000)",
    )
    sealed = (
        f"SELECT 'day', toDateTime({TODAY}, 'UTC') - INTERVAL number DAY, 7, 0, 0, 20000, 60000, 40000 FROM numbers(10)"
    )
    read(
        empty, f"INSERT INTO sealed (resolution, window_start, seal, is_open, corrected, pins, saves, clicks) {sealed}"
    )
    assert migrate(empty) == [name for name in REPEATABLE if name != "arm_users.sql"], "all that name actions"
    sums = "SELECT count(), sum(saves), sum(clicks), sum(closeups) FROM pin_engagement_1d"
    assert read(empty, sums) == [(200_000, 600_000, 400_000, 0)]
    top = (
        f"SELECT * FROM pin_engagement_1d WHERE window_start = toDateTime({TODAY - DAY}, 'UTC') ORDER BY closeups DESC"
    )
    plan = "\n".join(row[0] for row in read(empty, f"EXPLAIN indexes = 1, projections = 1 {top}"))
    assert "ReadFromMergeTree (by_day)" in plan, plan
    write(empty, some_cells())
    seal(empty, TODAY)
    assert migrate(empty) == []


def test_every_table_and_column_has_a_comment(empty: ClickHouseAddress) -> None:
    migrate(empty)
    with Connection(empty, 30) as connection:
        bare = connection.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''"
            " UNION ALL SELECT table || '.' || name FROM system.columns"
            " WHERE database = currentDatabase() AND comment = ''",
        )
    assert bare == []


def test_rows_that_the_ledger_covers_are_written_with_fsync(empty: ClickHouseAddress) -> None:
    migrate(empty)
    with Connection(empty, 30) as connection:
        lax = connection.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%%MergeTree'"
            " AND NOT (create_table_query LIKE '%%fsync_after_insert = 1%%'"
            " AND create_table_query LIKE '%%fsync_part_directory = 1%%')",
        )
    assert lax == []


def test_no_server_and_a_refused_login_are_told_apart(empty: ClickHouseAddress) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(SinkUnavailable, match="does not answer"):
            migrate(empty.model_copy(update={"port": closed.getsockname()[1]}), 2)
    with pytest.raises(SinkError, match="refused the login"):
        migrate(empty.model_copy(update={"user": "nobody"}))


def test_a_server_of_the_cluster_that_came_later_gets_the_tables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of a file came to it with the rows of `schema_files`; its tables did not."""
    made: list[str] = []
    monkeypatch.setattr(migrations, "_run", lambda _, found: made.extend(found))
    monkeypatch.setattr(Connection, "__init__", lambda _: None)
    monkeypatch.setattr(Connection, "rows", lambda *_: [])
    for name in ONCE:
        migrations._create(Connection(), Layout("counts", "pintally"), name, migrations._checksum(script_of(name)))  # type: ignore[call-arg]
    assert [sql.split()[5] for sql in made if sql.startswith("CREATE TABLE IF NOT EXISTS")] == list(tables_of_scripts())
    made.clear()
    migrations._create(Connection(), ONE_SERVER, ONCE[0], migrations._checksum(script_of(ONCE[0])))  # type: ignore[call-arg]
    assert made == []
