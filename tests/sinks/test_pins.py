"""What is inserted twice is there twice, and no answer is cut short, whatever server and profile would have it."""

from collections.abc import Iterator

import pytest

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.settings import Settings

WINDOWED = "ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"


@pytest.fixture
def connection(stack: Settings) -> Iterator[Connection]:
    with Connection(stack.clickhouse, 30) as opened:
        opened.execute(f"CREATE TABLE windowed (n UInt64) {WINDOWED}")
        yield opened


def test_an_identical_insert_into_a_table_with_a_window_is_not_dropped(connection: Connection) -> None:
    for _ in range(2):
        connection.insert("windowed", ["n"], [(1,), (2,)])
    assert connection.one("SELECT count() FROM windowed") == (4,)


def test_an_identical_insert_of_a_query_is_not_dropped(connection: Connection) -> None:
    for _ in range(2):
        connection.execute("INSERT INTO windowed SELECT number FROM numbers(3)")
    assert connection.one("SELECT count() FROM windowed") == (6,)


def test_what_was_deleted_can_be_inserted_again(connection: Connection) -> None:
    connection.insert("windowed", ["n"], [(1,)])
    connection.execute("DELETE FROM windowed WHERE n = 1")
    connection.insert("windowed", ["n"], [(1,)])
    assert connection.one("SELECT count() FROM windowed") == (1,)


def test_an_answer_without_the_row_that_must_come_is_an_error_and_no_data(connection: Connection) -> None:
    with pytest.raises(SinkError, match="returned 0 rows instead of one") as refused:
        connection.one("SELECT max(n) FROM windowed WHERE 0 HAVING 0")
    assert "row policy" in refused.value.remedy


def test_sealing_never_ends_in_a_traceback_where_an_answer_is_missing(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pintally.sinks.clickhouse.sealing.seal import seal

    rows = Connection.rows
    monkeypatch.setattr(Connection, "rows", lambda self, sql, **given: rows(self, sql, **given)[1:])
    with pytest.raises(SinkError):
        seal(stack.clickhouse, 0)
