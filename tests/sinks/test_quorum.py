"""What a connection asks for where a cluster is named, and what an insert that is not confirmed means."""

import pytest
from clickhouse_driver.errors import ServerException

from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse import connection as module
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.errors import translate
from pintally.streams.settings import Settings

NAMES = ("insert_quorum", "insert_quorum_parallel", "insert_quorum_timeout", "select_sequential_consistency")
# timeout, read-only table, too few replicas, another insert, a replica that is behind, unknown, Keeper
NOT_KNOWN = (159, 242, 285, 286, 289, 319, 999)


@pytest.fixture
def address(settings: Settings) -> ClickHouseAddress:
    return settings.clickhouse


def settings_of(address: ClickHouseAddress, *, only_reads: bool = False) -> dict[str, str]:
    with Connection(address, 30, database="", only_reads=only_reads) as connection:
        found = connection.rows(
            "SELECT name, value FROM system.settings WHERE name IN %(names)s AND changed", names=NAMES
        )
        off = connection.one("SELECT getSetting('insert_deduplicate'), getSetting('deduplicate_insert')")
        assert only_reads or off == (0, "disable")
        return dict(found)


def in_cluster(address: ClickHouseAddress, quorum: int = 2) -> ClickHouseAddress:
    return address.model_copy(update={"cluster": "counts", "quorum": quorum})


def test_one_server_waits_for_no_other(address: ClickHouseAddress) -> None:
    assert settings_of(address).keys() <= {"insert_quorum"}
    assert settings_of(address).get("insert_quorum", "0") == "0"


@pytest.mark.parametrize("quorum", [0, 2, 3])
def test_in_a_cluster_an_insert_waits_for_replicas_and_not_as_long_as_the_worker(
    address: ClickHouseAddress, quorum: int
) -> None:
    found = settings_of(in_cluster(address, quorum))
    assert found.pop("insert_quorum", "0") == str(quorum)
    assert found.pop("insert_quorum_parallel", "1") == "1"
    assert found == {"insert_quorum_timeout": "20000"}


def test_who_only_reads_asks_for_nothing(address: ClickHouseAddress) -> None:
    assert settings_of(in_cluster(address), only_reads=True) == {}


def test_on_clickhouse_cloud_reads_wait_and_inserts_need_no_quorum(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local engine is no Cloud, so what it says of itself is what is put in."""
    monkeypatch.setattr(module, "IS_CLOUD", "SELECT 1")
    found = settings_of(in_cluster(address))
    assert found["select_sequential_consistency"] == "1"
    assert found.get("insert_quorum", "0") == "0"
    with Connection(in_cluster(address), 30, database="") as connection:
        assert (connection.is_cloud, connection.is_replicated, connection.has_replicas) == (True, False, True)


@pytest.mark.parametrize("code", NOT_KNOWN)
def test_an_insert_that_is_not_confirmed_is_not_known_and_is_tried_again(code: int) -> None:
    error = translate(ServerException("DB::Exception: x", code), ClickHouseAddress())
    assert isinstance(error, SinkUnavailable)
    assert str(code) in error.what
