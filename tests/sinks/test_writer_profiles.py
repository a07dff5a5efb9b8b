"""Who writes with a profile that keeps the server from answering inserts as the driver expects."""

from collections.abc import Iterator

import pytest

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from tests.support.own_clickhouse import Profile, clickhouse_with

pytestmark = pytest.mark.engines

SETTING = "send_profile_events"
PROFILES = {"silent": Profile({SETTING: 0}), "silent_fixed": Profile({SETTING: 0}, {SETTING: "<const/>"})}
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseAddress]:
    with clickhouse_with(tmp_path_factory.mktemp("clickhouse"), PROFILES, "default") as made:
        with Connection(made) as connection:
            connection.execute("CREATE TABLE numbers_of_ours (n UInt64) ENGINE = MergeTree ORDER BY n")
        yield made


def test_an_insert_is_answered_where_the_profile_sends_no_profile_events(server: ClickHouseAddress) -> None:
    with Connection(server.model_copy(update={"user": "silent"}), TIMEOUT_S) as connection:
        connection.insert("numbers_of_ours", ["n"], [(1,), (2,)])
        assert connection.one("SELECT count() FROM numbers_of_ours") == (2,)


def test_a_profile_that_fixes_it_is_refused_by_its_name(server: ClickHouseAddress) -> None:
    with pytest.raises(SinkError, match=SETTING) as refused:
        Connection(server.model_copy(update={"user": "silent_fixed"}), TIMEOUT_S)
    assert SETTING in refused.value.remedy
    Connection(server.model_copy(update={"user": "silent_fixed"}), TIMEOUT_S, only_reads=True).close()
