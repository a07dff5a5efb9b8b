"""Migrations: once or often, alone or together."""

import shutil
import socket
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID

import pytest
from clickhouse_migrations.migrator import Migrator

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.schemas.rows import DeadLetterRow, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import MIGRATIONS, migrate
from pintally.sinks.clickhouse.older_servers import readable
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.integration.sealing import TODAY, disagreements, read, some_cells, write

NAMES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
LAST = readable((MIGRATIONS / NAMES[-1]).read_text(encoding="utf-8"))
STATEMENTS_OF_LAST = Migrator.script_to_statements(LAST, True)
BOOKKEEPING = "schema_migrations"


@pytest.fixture
def empty(settings: Settings):  # type: ignore[no-untyped-def]
    yield settings.clickhouse
    with Connection(settings.clickhouse, 30, database="") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS `{settings.clickhouse_database}`")


def test_the_first_call_applies_all_and_the_second_nothing(empty) -> None:  # type: ignore[no-untyped-def]
    assert migrate(empty) == NAMES
    assert migrate(empty) == []


def test_four_processes_at_once_leave_the_same_tables_as_one(empty) -> None:  # type: ignore[no-untyped-def]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        applied = list(pool.map(migrate, [empty] * 4))
    assert {name for names in applied for name in names} == set(NAMES)
    assert migrate(empty) == []
    with Connection(empty, 30) as connection:
        found = {row[0] for row in connection.rows("SHOW TABLES")}
    assert {"pin_minutes", "ingest_ledger", "sealed", "pin_engagement_1d", "superseded_cells"} <= found


def test_letters_from_before_they_had_an_epoch_get_that_of_the_rules_where_they_are(empty) -> None:  # type: ignore[no-untyped-def]
    migrate(empty)
    source = Source("engagement.save.v1", UUID(int=5), 0)
    letters = [DeadLetterRow(source, offset, 5, "late", "so", None, None, ()) for offset in range(9)]
    with ClickHouseSink(empty).session() as session:
        session.write_starts([StartRow(source, epoch, 5 * epoch, 0, Rules().to_json()) for epoch in (0, 1)])
        session.write_dead_letters(letters)
    with Connection(empty, 30) as connection:
        connection.execute(f"TRUNCATE TABLE {BOOKKEEPING}")
    assert migrate(empty) == NAMES, "every statement can be repeated"
    with ClickHouseSink(empty).session() as session:
        session.delete_superseded()
        found = session.read_dead_letters(source, 0, 99)
    assert [replace(letter, epoch=letter.offset // 5) for letter in letters] == found


@pytest.mark.parametrize("done", range(len(STATEMENTS_OF_LAST) + 1))
def test_what_was_counted_and_sealed_before_reads_the_same_after_also_where_the_last_file_was_cut_off(
    empty,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    done: int,
) -> None:
    for name in NAMES[:-1]:
        shutil.copy(MIGRATIONS / name, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pintally.sinks.clickhouse.migrate.MIGRATIONS", tmp_path)
        assert migrate(empty) == NAMES[:-1]
    write(empty, some_cells())
    seal(empty, TODAY)
    everything = [
        f"SELECT * FROM {name} ORDER BY ALL"
        for name in (
            "pin_minutes",
            "pin_hours",
            "pin_days",
            "pin_engagement_1m",
            "pin_engagement_1h",
            "pin_engagement_1d",
        )
    ]
    before = [read(empty, sql) for sql in everything]
    assert all(before)
    for statement in STATEMENTS_OF_LAST[:done]:
        read(empty, statement)
    assert migrate(empty) == NAMES[-1:]
    assert [read(empty, sql) for sql in everything] == before
    write(empty, some_cells(20, count=4))
    seal(empty, TODAY)
    assert disagreements(empty) == []


def test_every_table_and_column_has_a_comment(empty) -> None:  # type: ignore[no-untyped-def]
    migrate(empty)
    with Connection(empty, 30) as connection:
        bare = connection.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = '' AND name != %(own)s"
            " UNION ALL SELECT table || '.' || name FROM system.columns"
            " WHERE database = currentDatabase() AND comment = '' AND table != %(own)s",
            own=BOOKKEEPING,
        )
    assert bare == []


def test_what_the_ledger_vouches_for_is_written_with_fsync(empty) -> None:  # type: ignore[no-untyped-def]
    migrate(empty)
    with Connection(empty, 30) as connection:
        lax = connection.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%%MergeTree'"
            " AND name != %(own)s AND NOT (create_table_query LIKE '%%fsync_after_insert = 1%%'"
            " AND create_table_query LIKE '%%fsync_part_directory = 1%%')",
            own=BOOKKEEPING,
        )
    assert lax == []


def test_no_server_and_a_refused_login_are_told_apart(empty) -> None:  # type: ignore[no-untyped-def]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(SinkUnavailable, match="does not answer"):
            migrate(replace(empty, port=closed.getsockname()[1]), 2)
    with pytest.raises(SinkError, match="refused the login"):
        migrate(replace(empty, user="nobody", password="x"))
