"""Creates what the scripts describe: tables once, views and the users' rights anew each time."""

import time
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from clickhouse_driver.errors import ServerException

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.engines import layout_of, refuse_other_engines, refuse_replicated_database
from pintally.sinks.clickhouse.layout import Layout
from pintally.sinks.clickhouse.scripts import (
    ONCE,
    REPEATABLE,
    added_columns,
    script_of,
    statements,
)
from pintally.sinks.clickhouse.users import grant_again

ATTEMPTS = 5  # several may create the same things at the same moment; the loser looks again
APPLIED = """
CREATE TABLE IF NOT EXISTS schema_files{on_cluster}
(
    file String COMMENT 'File of sinks/clickhouse/schema',
    checksum String COMMENT 'SHA-256 of what was applied',
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}MergeTree
ORDER BY (file, applied_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What pintally migrate applied, as it was when it was new'
"""
LAST = "SELECT file, argMax(checksum, applied_at) FROM schema_files GROUP BY file"
OLDER = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
THERE = "SELECT table, name FROM system.columns WHERE database = currentDatabase()"


class OtherLayout(SinkError):
    """The tables were made by another version, and this one can neither read nor change them."""


def migrate(address: ClickHouseAddress, timeout_seconds: float = 60) -> list[str]:
    """Create the database if it is missing, its tables and its views; returns the names of the files that were new.

    Can be called any number of times, and by several at once: every statement can be repeated. Raises SinkUnavailable
    if ClickHouse does not answer, SinkError if it refuses, OtherLayout for tables of another version.
    """
    with Connection(address, timeout_seconds, database=""):
        pass  # refused here if the login is wrong or nobody answers
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _apply(address, timeout_seconds)
        except SinkError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, ServerException):
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def _apply(address: ClickHouseAddress, timeout_seconds: float) -> list[str]:
    with Connection(address, timeout_seconds, database="") as connection:
        layout = layout_of(connection)
        connection.execute(f"CREATE DATABASE IF NOT EXISTS `{address.database}`{layout.on_cluster}")
    with Connection(address, timeout_seconds) as connection:
        refuse_replicated_database(connection)
        refuse_other_engines(connection)
        if connection.rows(OLDER):
            raise _other_layout(address)
        _run(connection, statements(APPLIED, layout=layout))
        known: dict[str, str] = dict(connection.rows(LAST))
        if {name for name in known if name[0].isdigit()} - set(ONCE):
            raise _other_layout(address)
        tables = [(name, _create(connection, layout, name, known.get(name))) for name in ONCE]
        applied = _note(connection, tables, known)
        applied += _note(connection, [(name, _make_anew(connection, layout, name)) for name in REPEATABLE], known)
    grant_again(address, timeout_seconds)
    return applied


def _create(connection: Connection, layout: Layout, name: str, known: str | None) -> str:
    """Tables; where they are there, only columns of actions that came later. Returns what the file is known by.

    A cluster may have a server that came later and has none of them.
    """
    script = script_of(name)
    if known not in (None, _checksum(script)):
        raise _other_layout(connection.address)
    if known is None or layout.cluster:
        _run(connection, statements(script, layout=layout))
    if known:
        _run(connection, added_columns(script, set(connection.rows(THERE)), layout))
    return script


def _make_anew(connection: Connection, layout: Layout, name: str) -> str:
    """Views, whether or not they are as they were. Returns what was applied."""
    made = statements(script_of(name), layout=layout)
    _run(connection, made)
    return "\n".join(made)


def _run(connection: Connection, made: Iterable[str]) -> None:
    for statement in made:
        connection.execute(statement)


def _note(connection: Connection, applied: Sequence[tuple[str, str]], known: Mapping[str, str]) -> list[str]:
    """Write down what was applied of which files, once it was; returns the names of those that are new."""
    new = [(name, _checksum(text)) for name, text in applied if known.get(name) != _checksum(text)]
    connection.insert("schema_files", ("file", "checksum"), new)
    return [name for name, _ in new]


def _checksum(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _other_layout(address: ClickHouseAddress) -> OtherLayout:
    return OtherLayout(
        f"the tables in {address} were made by another version",
        f"Drop them (DROP DATABASE `{address.database}`), run `pintally migrate` and start the workers, which count "
        "again what Kafka still holds; or use another database (PINTALLY_CLICKHOUSE_DATABASE).",
    )
