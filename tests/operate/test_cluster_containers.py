"""Replicas for real: ClickHouse and Keeper of deploy/cluster in containers, one shard's two replicas.

Waits for a Docker daemon with compose and the images; nothing here runs without them, because the local engine has no
Keeper.
"""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from pintally.audit.addresses import Addresses
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.replicas import await_rows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.replicas import ReplicaAway, replicas_of
from pintally.sinks.clickhouse.scripts import tables
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.ports import LOOPBACK, free_port
from pintally.tools.engines.ready import clickhouse_answers, wait_until
from tests.sinks.sealing import DAY, HOUR, TODAY, YESTERDAY, disagreements, read, some_cells
from tests.sinks.sealing_schedule import SOURCE
from tests.support.engines import CLICKHOUSE_IMAGE, docker_answers

pytestmark = pytest.mark.engines
FILE = Path(__file__).parents[2] / "deploy" / "cluster" / "compose.yml"
KEEPER_IMAGE = CLICKHOUSE_IMAGE.replace("clickhouse-server", "clickhouse-keeper")
SERVERS = ("clickhouse-0a", "clickhouse-0b")
OTHERS = ("clickhouse-1a", "clickhouse-1b")
READY_S = 180.0


class Compose:
    """The containers of deploy/cluster/compose.yml, on ports of their own."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        for _ in range(8):
            self.ports.append(free_port(self.ports))
        names = [f"CLICKHOUSE_{name[-2:].upper()}" for name in (*SERVERS, *OTHERS)]
        native = {f"{name}_PORT": str(port) for name, port in zip(names, self.ports, strict=False)}
        http = {f"{name}_HTTP_PORT": str(port) for name, port in zip(names, self.ports[4:], strict=True)}
        self._environment = {
            **os.environ, **native, **http, "CLICKHOUSE_IMAGE": CLICKHOUSE_IMAGE, "KEEPER_IMAGE": KEEPER_IMAGE
        }  # fmt: skip
        self._project = f"pintally-{uuid4().hex[:8]}"

    def run(self, *arguments: str) -> None:
        command = ["docker", "compose", "--project-name", self._project, "--file", str(FILE), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def address(self, number: int) -> ClickHouseAddress:
        """Of the first shard's replica a or b."""
        return ClickHouseAddress(
            host=LOOPBACK, port=self.ports[number], http_port=self.ports[4 + number], user="pintally",
            password="pintally", cluster="counts",
        )  # fmt: skip

    def await_ready(self, number: int) -> None:
        at = self.address(number)
        addresses = EngineAddresses("", at.host, at.port, at.http_port, at.user, at.password.get_secret_value())
        assert wait_until(lambda: clickhouse_answers(addresses), READY_S)


def skip_without_compose() -> None:
    """Skip, and say what it waits for."""
    if not docker_answers():
        pytest.skip("waits for a Docker daemon: the local engine has no Keeper, so no replicas")
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("waits for `docker compose`")
    for image in (CLICKHOUSE_IMAGE, KEEPER_IMAGE):
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
            pytest.skip(f"waits for the image {image}: docker pull {image}")


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    skip_without_compose()
    made = Compose()
    try:
        made.run("up", "--wait", "keeper", *SERVERS, *OTHERS)
        yield made
    finally:
        made.run("down", "--volumes")


@pytest.fixture
def replicas(compose: Compose) -> Iterator[list[ClickHouseAddress]]:
    database = f"t{uuid4().hex[:12]}"
    made = [compose.address(number).model_copy(update={"database": database}) for number in (0, 1)]
    migrate(made[0])
    yield made
    with Connection(made[0], 60, database="") as connection:
        connection.execute(f"DROP DATABASE `{database}` ON CLUSTER counts SYNC")


def plain(address: ClickHouseAddress) -> ClickHouseAddress:
    """As a reader."""
    return address.model_copy(update={"cluster": ""})


def test_one_migrate_makes_replicated_tables_on_both_and_a_second_finds_nothing_new(
    replicas: list[ClickHouseAddress],
) -> None:
    of = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(engine, 'Replicated')"
    for server in replicas:
        assert {name for (name,) in read(plain(server), of)} == {*tables(), "schema_files"}
        assert migrate(server) == []
    with Connection(replicas[0]) as connection:
        assert replicas_of(connection)[:2] == (2, 2)


def test_what_one_replica_acknowledged_the_other_has_behind_the_barrier(replicas: list[ClickHouseAddress]) -> None:
    with Connection(replicas[0]) as one, Connection(replicas[1]) as other:
        for number in range(1, 51):
            assert allocate_seal_id(one if number % 2 else other) == number
        one.insert("cuts", ("cut", "hours_until", "seal"), [(TODAY, TODAY, 1)])
        sync(other, "cuts")
        assert other.one("SELECT count() FROM cuts") == (1,)


def test_equal_blocks_are_both_there(replicas: list[ClickHouseAddress]) -> None:
    with Connection(replicas[0]) as connection:
        for _ in range(2):
            connection.insert("seal_numbers", ("seal",), [(7,)])
        assert connection.one("SELECT count() FROM seal_numbers") == (2,)


def test_hours_and_days_are_sealed_on_both(replicas: list[ClickHouseAddress]) -> None:
    with ClickHouseSink(replicas[1]).session() as session:
        session.write_cells(some_cells())
    result = seal(replicas[0], TODAY + HOUR)
    assert result.hours == tuple(range(YESTERDAY, TODAY + HOUR, HOUR))
    assert result.days == (YESTERDAY,)
    for server in replicas:
        assert disagreements(plain(server)) == []
        assert read(plain(server), "SELECT count() > 0 FROM pin_days") == [(1,)]


def test_superseded_rows_are_deleted_on_both(replicas: list[ClickHouseAddress]) -> None:
    """Replicas refuse a DELETE with a subquery."""
    starts = [StartRow(SOURCE, epoch, 0, 0, Rules().to_json()) for epoch in (0, 1)]
    stale = dataclasses.replace(some_cells(), source=np.full(len(some_cells()), SOURCE.id, np.uint64))
    with ClickHouseSink(replicas[0]).session() as session:
        session.write_cells(stale)
        session.write_starts(starts)
        session.delete_superseded()
    for server in replicas:
        assert read(plain(server), "SELECT count() FROM pin_minutes") == [(0,)]


def test_the_audit_waits_for_no_table_into_which_nothing_was_inserted(replicas: list[ClickHouseAddress]) -> None:
    at = replicas[1]
    addresses = Addresses(
        "", (), clickhouse_host=at.host, clickhouse_http_port=at.http_port, database=at.database, user=at.user,
        password=at.password.get_secret_value(), replicas=True,
    )  # fmt: skip
    with ClickHouse(addresses) as clickhouse:
        await_rows(clickhouse, replicas=True)


def test_while_a_replica_is_away_nothing_is_sealed_and_a_flush_waits_and_then_all_goes_on(
    compose: Compose, replicas: list[ClickHouseAddress]
) -> None:
    compose.run("stop", SERVERS[1])
    try:
        with pytest.raises(ReplicaAway, match="1 of 2 are away: b"):
            seal(replicas[0], TODAY)
        with pytest.raises(SinkUnavailable), ClickHouseSink(replicas[0]).session() as session:
            session.write_cells(some_cells())
    finally:
        compose.run("start", SERVERS[1])
        compose.await_ready(1)
    with ClickHouseSink(replicas[0]).session() as session:
        session.write_cells(some_cells())
    assert seal(replicas[1], TODAY + DAY // 24).hours
    assert disagreements(plain(replicas[0])) == disagreements(plain(replicas[1])) == []
