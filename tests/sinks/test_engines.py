"""Databases and tables whose engines do not fit the settings are refused by name.

The local engine makes neither Replicated databases nor replicated tables: those answers are put in at the connection.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse import engines
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.engines import OtherEngines, layout_at, refuse_wrong_engines
from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.sinks.sealing import read


@pytest.fixture
def address(settings: Settings) -> Iterator[ClickHouseAddress]:
    yield settings.clickhouse
    with Connection(settings.clickhouse, 30, database="") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS `{settings.clickhouse.database}`")


def in_cluster(address: ClickHouseAddress) -> ClickHouseAddress:
    return address.model_copy(update={"cluster": "counts"})


def says(monkeypatch: pytest.MonkeyPatch, asked: str, *answer: tuple[Any, ...]) -> None:
    """Have one question of `engines` answered so."""
    rows = Connection.rows

    def answered(connection: Connection, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [*answer] if sql == asked else rows(connection, sql, **parameters)

    monkeypatch.setattr(Connection, "rows", answered)


def tables(address: ClickHouseAddress) -> list[tuple[Any, ...]]:
    return read(address, "SELECT name FROM system.tables WHERE database = currentDatabase()")


def test_a_database_that_repeats_tables_but_not_rows_is_refused_before_anything_is_made(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        says(patch, engines.DATABASE, ("Replicated",))
        with pytest.raises(SinkError, match="engine Replicated") as refused:
            migrate(address)
    assert "PINTALLY_CLICKHOUSE_DATABASE" in refused.value.remedy
    assert "PINTALLY_CLICKHOUSE_CLUSTER" in refused.value.remedy
    assert tables(address) == []


def test_clickhouse_cloud_is_refused_as_one_server(address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        says(patch, engines.DATABASE, ("Shared",))
        with pytest.raises(SinkError, match="ClickHouse Cloud") as refused:
            migrate(address)
    assert "PINTALLY_CLICKHOUSE_CLUSTER=default" in refused.value.remedy
    assert tables(address) == []


def test_a_cluster_that_the_server_does_not_know_is_refused_and_those_that_it_knows_are_named(
    address: ClickHouseAddress,
) -> None:
    with pytest.raises(SinkError, match="no cluster 'counts', it has: ") as refused:
        migrate(in_cluster(address))
    assert "PINTALLY_CLICKHOUSE_CLUSTER" in refused.value.remedy
    assert (
        read(address.model_copy(update={"database": "default"}), "SHOW DATABASES LIKE 't%'").count((address.database,))
        == 0
    )


def test_plain_tables_are_refused_where_a_cluster_is_named(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else rows would be on the server that took them, and on no other."""
    migrate(address)
    says(monkeypatch, engines.CLUSTERS, ("counts",))
    with pytest.raises(OtherEngines, match="copied to no other server"), ClickHouseSink(in_cluster(address)).session():
        pass
    with pytest.raises(OtherEngines, match="PINTALLY_CLICKHOUSE_CLUSTER=counts") as refused:
        refuse_wrong_engines(in_cluster(address))
    assert "Unset PINTALLY_CLICKHOUSE_CLUSTER" in refused.value.remedy
    refuse_wrong_engines(address)


@pytest.mark.parametrize("family", ["Replicated", "Shared"])
def test_tables_of_several_servers_are_refused_where_no_cluster_is_named(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Else nothing would wait for what other servers took."""
    migrate(address)
    says(monkeypatch, engines.TABLES, ("pin_minutes", f"{family}ReplacingMergeTree"), ("sealed", "MergeTree"))
    for refused_by in (refuse_wrong_engines, migrate):
        with pytest.raises(OtherEngines, match=r"1 tables .* shared with other servers .*pin_minutes") as refused:
            refused_by(address)
    assert "Set PINTALLY_CLICKHOUSE_CLUSTER" in refused.value.remedy


def test_the_layout_is_that_of_the_cluster_that_the_server_knows(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert layout_at(address) == ONE_SERVER
    says(monkeypatch, engines.CLUSTERS, ("counts",), ("default",))
    assert layout_at(in_cluster(address)) == Layout("counts", address.database)
    monkeypatch.setattr("pintally.sinks.clickhouse.connection.IS_CLOUD", "SELECT 1")
    assert layout_at(in_cluster(address)) == ONE_SERVER
