"""One question to every replica: an answer counts if all that there are give it."""

import random
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.every_replica import EveryReplica, ReplicasDiffer, agreed
from tests.support.two_replicas import Keeper, keeper_of, two_servers

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2)), max_size=5)


@given(ROWS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_replicas_agree_if_all_have_the_same_rows_in_any_order(
    rows: list[tuple[object, ...]], replicas: int, order: random.Random
) -> None:
    answers = [order.sample(rows, len(rows)) for _ in range(replicas)]
    assert sorted(agreed(answers, replicas), key=repr) == sorted(rows, key=repr)
    with pytest.raises(ReplicasDiffer):
        agreed(answers, replicas + 1)


@given(ROWS, ROWS)
def test_one_row_more_or_less_or_other_is_found(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> None:
    if sorted(one, key=repr) == sorted(other, key=repr):
        assert agreed([one, other], 2) == agreed([other, one], 2)
        return
    with pytest.raises(ReplicasDiffer):
        agreed([one, other], 2)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseAddress]]:
    with two_servers(tmp_path_factory.mktemp("replicas")) as started:
        yield started


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseAddress]]:
    with two_servers(tmp_path_factory.mktemp("shards"), shards=("01", "02")) as started:
        yield started


@pytest.fixture
def keeper(servers: list[ClickHouseAddress], monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    with keeper_of(servers, f"t{uuid.uuid4().hex[:12]}", monkeypatch) as made:
        yield made


NUMBERS = "SELECT seal, count() FROM seal_numbers GROUP BY seal"


@pytest.mark.engines
def test_each_server_answers_with_its_own_rows(keeper: Keeper) -> None:
    with Connection(keeper.here, 30) as connection:
        asked = EveryReplica(connection)
        assert asked.rows(NUMBERS) == []
        connection.insert("seal_numbers", ("seal",), [(1,), (2,)])
        assert asked.rows(NUMBERS) == [(1, 1), (2, 1)]
        assert asked.one("SELECT count(), (SELECT max(seal) FROM seal_numbers) FROM seal_numbers") == (2, 2)
        keeper.lagging = {"seal_numbers"}
        connection.insert("seal_numbers", ("seal",), [(3,)])
        with pytest.raises(ReplicasDiffer):
            asked.rows(NUMBERS)
        with pytest.raises(ReplicasDiffer):  # a subquery is answered by each server too
            asked.one("SELECT (SELECT max(seal) FROM seal_numbers)")
        assert asked.one("SELECT count() FROM seal_numbers WHERE seal = %(n)s SETTINGS final = 0", n=1) == (1,)
        assert connection.rows("SELECT count() FROM seal_numbers") == [(3,)]


@pytest.mark.engines
def test_a_server_that_has_no_tables_yet_is_waited_for(keeper: Keeper) -> None:
    """A worker ends after any SinkError but SinkUnavailable."""
    name = keeper.there.database
    with Connection(keeper.there, 30, database="default") as there, Connection(keeper.here, 30) as connection:
        there.execute(f"DROP DATABASE `{name}`")
        with pytest.raises(SinkUnavailable, match="refuses what this one answers") as refusal:
            EveryReplica(connection).rows(NUMBERS)
        there.execute(f"CREATE DATABASE `{name}`")  # it is dropped in the end
    assert "pintally migrate" in refusal.value.remedy


@pytest.mark.engines
def test_a_server_that_the_cluster_does_not_name_is_missed(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EveryReplica, "_expected", lambda _: 3)
    with Connection(keeper.here, 30) as connection, pytest.raises(ReplicasDiffer):
        EveryReplica(connection).rows(NUMBERS)


@pytest.mark.engines
def test_servers_of_another_shard_are_left_out(
    shards: list[ClickHouseAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EveryReplica, "_expected", lambda _: 1)
    for number, server in enumerate(shards):
        with Connection(server, 30, database="default") as connection:
            connection.execute("CREATE TABLE of_shard (n UInt8) ENGINE = MergeTree ORDER BY n")
            connection.insert("of_shard", ("n",), [(number,)])
    for number, server in enumerate(shards):
        with Connection(server, 30, database="default") as connection:
            assert EveryReplica(connection).rows("SELECT n FROM of_shard") == [(number,)]
