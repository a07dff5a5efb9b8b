"""Sealing with replicas: the order of its steps, and what is published while one of them lags.

Two local servers with plain tables stand for two replicas (`two_replicas`); what they answer to `clusterAllReplicas` is
real, what Keeper would say is not.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.replicas import ReplicaAway
from pintally.sinks.clickhouse.scripts import tables
from pintally.sinks.clickhouse.sealing import everywhere, steps
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from tests.sinks.sealing import DAY, HOUR, TODAY, YESTERDAY, disagreements, read, some_cells
from tests.sinks.sealing_schedule import SOURCE
from tests.sinks.test_arm_days import write as write_arms
from tests.sinks.test_seal_users import PIN, members
from tests.sinks.test_seal_users import write as write_members
from tests.support.two_replicas import Keeper, emptied, standing_in, two_databases, two_servers

pytestmark = pytest.mark.engines
Act = Callable[[ClickHouseAddress], object]
LATE = 21  # hour of the day: hours before it need no users
SEALED_FROM = {"pin_minutes", "ingest_starts", "pin_members", "pin_hours_by_pin", "arm_members"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseAddress]]:
    with two_servers(tmp_path_factory.mktemp("replicas")) as started:
        yield started


@pytest.fixture(scope="module")
def databases(servers: list[ClickHouseAddress]) -> Iterator[Keeper]:
    with two_databases(servers, a_name()) as made:
        yield made


@pytest.fixture
def keeper(databases: Keeper, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(everywhere, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(everywhere, "LOOK_SECONDS", 0)
    monkeypatch.setattr(steps, "ATTEMPTS", 2)
    with standing_in(emptied(databases), monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def done(servers: list[ClickHouseAddress]) -> Iterator[Callable[[Act], Keeper]]:
    """What is there once something was sealed: only to be looked at."""
    with ExitStack() as stack:

        @cache
        def of(act: Act) -> Keeper:
            made = stack.enter_context(two_databases(servers, a_name()))
            with pytest.MonkeyPatch.context() as patch, standing_in(made, patch):
                prepared(made)
                act(made.here)
            return made

        yield of


@pytest.fixture(scope="module")
def done_without(databases: Keeper) -> Callable[[Act, str], list[str]]:
    """What was done to seal something without one of the steps, in order."""

    @cache
    def of(act: Act, fault: str) -> list[str]:
        place, instead = LEFT_OUT[fault]
        with pytest.MonkeyPatch.context() as patch, standing_in(emptied(databases), patch) as keeper:
            prepared(keeper)
            patch.setattr(f"pintally.sinks.clickhouse.sealing.{place}", instead)
            act(keeper.here)
        return keeper.log

    return of


def a_name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def write(address: ClickHouseAddress, version: int = 10) -> None:
    with ClickHouseSink(address).session() as session:
        session.write_cells(some_cells(version))


def plain(address: ClickHouseAddress) -> ClickHouseAddress:
    """As a reader: nothing stands between it and the server."""
    return address.model_copy(update={"cluster": ""})


def hours(address: ClickHouseAddress) -> object:
    return seal(address, TODAY + HOUR)


def cuts(address: ClickHouseAddress) -> object:
    return seal_cuts(address, YESTERDAY + DAY + 2 * HOUR, HOUR)


def users(address: ClickHouseAddress) -> object:
    seal(address, TODAY)
    return seal_users(address, 1)


def users_of_arms(address: ClickHouseAddress) -> object:
    seal(address, TODAY)
    return seal_arm_users(address, 1)


# What is sealed, the table of its rows, and the table that publishes them.
KINDS: dict[str, tuple[Act, str, str]] = {
    "hours": (hours, "pin_hours", "sealed"),
    "days": (hours, "pin_days", "sealed"),
    "breakdowns": (hours, "pin_hour_breakdowns", "sealed"),
    "tiles": (cuts, "pin_tiles", "feature_seals"),
    "complete hours": (cuts, "pin_hours_by_pin", "feature_seals"),
    "tops": (cuts, "tile_tops", "feature_seals"),
    "bases": (cuts, "pin_base", "feature_seals"),
    "users": (users, "pin_hour_users", "user_seals"),
    "users of days": (users, "pin_day_users", "user_seals"),
    "users of arms": (users_of_arms, "arm_day_users", "arm_day_seals"),
}


def faults(log: list[str], rows: str, published: str) -> list[str]:
    """What is missing around each roll-up into `rows`, by the order that C23 needs."""
    found = []
    for at, step in enumerate(log):
        if not step.startswith(f"insert {rows} "):
            continue
        number = max(i for i in range(at) if log[i].startswith("insert seal_numbers"))
        end = next(i for i in range(at, len(log)) if log[i].startswith((f"insert {published} ", "insert seal_numbers")))
        before, waits, between = log[:number], log[number + 1 : at], log[at + 1 : end]
        if before[-1:] != ["sync seal_numbers"] or waits[:1] != ["sync seal_numbers"]:
            found.append("number without a barrier on both sides")
        if not SEALED_FROM & {wait.removeprefix("sync ") for wait in waits[1:] if wait.startswith("sync ")}:
            found.append("cells without a barrier")
        if not step.endswith(" on 2"):
            found.append("rows without a quorum of all")
        if between.count("ask all") < 2:
            found.append("replicas not asked for rows and for what they are made of")
        if log[end] != f"insert {published} on 2":
            found.append("published without a quorum of all")
    return found


def prepared(keeper: Keeper) -> None:
    """Cells of two days with members late on the first, and what was done for that forgotten."""
    write(keeper.here)
    write_members(keeper.here, members([(LATE, 1, PIN, "home", user) for user in range(30)]))
    write_arms(keeper.here, [(0, LATE, "control", user) for user in range(30)])
    keeper.log.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_number_barrier_rows_every_replica_publication(kind: str, done: Callable[[Act], Keeper]) -> None:
    act, rows, published = KINDS[kind]
    log = done(act).log
    assert any(step.startswith(f"insert {rows} ") for step in log), "nothing was sealed"
    assert faults(log, rows, published) == []


def nothing(*_: object, **__: object) -> None:
    """In the place of a step."""


LEFT_OUT: dict[str, tuple[str, object]] = {
    "number without a barrier on both sides": ("sequence.sync", nothing),
    "cells without a barrier": ("steps.sync", nothing),
    "rows without a quorum of all": ("session.wait_for_all", nothing),
    "replicas not asked for rows and for what they are made of": ("steps.is_everywhere", lambda *_: True),
}


@pytest.mark.parametrize("fault", LEFT_OUT)
@pytest.mark.parametrize("kind", ["hours", "tiles", "bases", "users", "users of arms"])
def test_a_step_that_is_left_out_is_found(fault: str, kind: str, done_without: Callable[[Act, str], list[str]]) -> None:
    act, rows, published = KINDS[kind]
    assert fault in faults(done_without(act, fault), rows, published)


@pytest.mark.parametrize("kind", ["hours", "tiles", "users", "users of arms"])
def test_rows_are_looked_at_again_behind_a_barrier(kind: str, done: Callable[[Act], Keeper]) -> None:
    """The second look: cells that another replica took just before the publication are here then."""
    act, _, published = KINDS[kind]
    log = done(act).log
    last = max(i for i, step in enumerate(log) if step.startswith(f"insert {published} "))
    assert any(step.startswith("sync ") for step in log[last:])


@pytest.mark.parametrize("kind", KINDS)
def test_both_replicas_tell_the_same_when_all_is_sealed(kind: str, done: Callable[[Act], Keeper]) -> None:
    act, rows, _ = KINDS[kind]
    keeper = done(act)
    of = f"SELECT * FROM {rows} ORDER BY ALL"
    first, second = (read(plain(server), of) for server in (keeper.here, keeper.other))
    assert first == second != []
    assert disagreements(plain(keeper.other)) == []


LAGS = [
    ("hours", "pin_minutes"), ("hours", "pin_hours"), ("hours", "pin_hour_breakdowns"), ("days", "pin_days"),
    ("tiles", "pin_minutes"), ("tiles", "pin_tiles"), ("complete hours", "pin_hours_by_pin"), ("tops", "tile_tops"),
    ("bases", "pin_base"), ("users", "pin_members"), ("users", "pin_user_states"), ("users", "pin_hour_users"),
    ("users of days", "pin_day_users"), ("users of arms", "arm_members"), ("users of arms", "arm_day_users"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "late"), LAGS)
def test_nothing_is_published_while_a_replica_lacks_rows(kind: str, late: str, keeper: Keeper) -> None:
    """What the other server lacks, it lacks although the insert was confirmed, so that only the last look finds it."""
    act, rows, published = KINDS[kind]
    keeper.lagging = {late}
    prepared(keeper)
    act(keeper.here)
    seals = f"rows of {rows} that are published"
    shown = {
        "sealed": f"SELECT count() FROM {rows} WHERE seal IN (SELECT seal FROM sealed FINAL WHERE NOT is_open)",
        "feature_seals": f"SELECT count() FROM {rows} WHERE seal IN (SELECT rows_seal FROM feature_seals FINAL)",
        "user_seals": f"SELECT count() FROM {rows} WHERE seal IN (SELECT rows_seal FROM user_seals FINAL)",
        "arm_day_seals": f"SELECT count() FROM {rows} WHERE seal IN (SELECT rows_seal FROM arm_day_seals FINAL)",
    }[published]
    assert read(plain(keeper.here), shown) == [(0,)], seals
    keeper.catch_up()
    act(keeper.here)
    assert read(plain(keeper.here), shown) != [(0,)]
    assert read(plain(keeper.other), shown) == read(plain(keeper.here), shown)


@pytest.mark.parametrize(("kind", "late"), [("hours", "pin_minutes"), ("tiles", "pin_tiles")])
def test_a_window_is_not_made_anew_for_a_replica_that_lags(kind: str, late: str, keeper: Keeper) -> None:
    """Each attempt would wait for it once more, and write all rows of the window again."""
    act, rows, _ = KINDS[kind]
    keeper.lagging = {late}
    prepared(keeper)
    act(keeper.here)
    assert keeper.log.count(f"insert {rows} on 2") == 1


def test_a_replica_that_is_away_delays_sealing_and_is_named(keeper: Keeper) -> None:
    prepared(keeper)
    keeper.away = ("b",)
    alone: tuple[Act, ...] = (lambda address: seal_users(address, 1), lambda address: seal_arm_users(address, 1))
    for act in (hours, cuts, *alone):
        with pytest.raises(ReplicaAway, match="1 of 2 are away: b") as refused:
            act(keeper.here)
        assert "SYSTEM DROP REPLICA" in refused.value.remedy
    assert [step for step in keeper.log if step.startswith(("insert", "delete"))] == []


def test_a_change_of_rules_is_refused_before_anything_is_written(keeper: Keeper) -> None:
    """It ends with a DELETE. With its start rows and without that, workers of the old rules would not go on either."""
    prepared(keeper)
    hours(keeper.here)
    keeper.log.clear()
    keeper.away = ("b",)
    change = Change((StartRow(SOURCE, 1, 0, 0, Rules().to_json()),), reopen_from=YESTERDAY)
    with pytest.raises(ReplicaAway), ClickHouseSink(keeper.here).session() as session:
        apply_change(session, change)
    assert [step for step in keeper.log if step.startswith(("insert", "delete"))] == []


def test_superseded_rows_are_named_to_all_replicas(keeper: Keeper) -> None:
    """A DELETE may not ask which rows: real replicas refuse it, and `rules apply` and sealing with it."""
    prepared(keeper)
    starts = [StartRow(SOURCE, epoch, 0, 0, Rules().to_json()) for epoch in (0, 1)]
    ours = replace(some_cells(), source=np.full(len(some_cells()), SOURCE.id, np.uint64))
    with ClickHouseSink(keeper.here).session() as session:
        session.write_cells(ours)
        session.write_starts(starts)
        session.delete_superseded()
    assert "delete pin_minutes" in keeper.log
    for server in (keeper.here, keeper.other):
        assert read(plain(server), "SELECT count() FROM superseded_cells") == [(0,)]
        assert read(plain(server), f"SELECT count() FROM pin_minutes WHERE source = {SOURCE.id}") == [(0,)]
        assert read(plain(server), "SELECT count() > 0 FROM pin_minutes") == [(1,)], "those of other sources stay"


def test_sealing_waits_for_keeper(keeper: Keeper) -> None:
    """A worker tries again after SinkUnavailable, and ends after any other error."""
    prepared(keeper)
    keeper.answers = False
    for act in (hours, cuts):
        with pytest.raises(SinkUnavailable, match="does not reach Keeper"):
            act(keeper.here)
    keeper.answers = True
    hours(keeper.here)
    assert disagreements(plain(keeper.here)) == []


def test_a_writer_opens_a_sealed_hour_on_all_that_are_there_before_its_cells(keeper: Keeper) -> None:
    prepared(keeper)
    hours(keeper.here)
    keeper.log.clear()
    write(keeper.here, 11)
    opened = [i for i, step in enumerate(keeper.log) if step.startswith("insert sealed")]
    [cells] = [i for i, step in enumerate(keeper.log) if step.startswith("insert pin_minutes")]
    assert opened[0] < cells < opened[-1]
    assert {keeper.log[i] for i in opened} == {"insert sealed on 2"}
    assert keeper.log[cells] == "insert pin_minutes on 0"  # its own quorum, which is 0 in this test


def test_one_server_is_asked_nothing_of_replicas(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its statements name no other server and wait for none."""
    asked: list[str] = []
    run = Connection.execute

    def execute(self: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(sql)
        assert {**self._client.settings, **(kwargs.get("settings") or {})}["insert_quorum"] == "0"
        return run(self, sql, *args, **kwargs)

    alone = plain(keeper.here)
    with monkeypatch.context() as patch:  # undone before the keeper is
        patch.setattr(Connection, "execute", execute)
        write(alone)
        write_members(alone, members([(LATE, 1, PIN, "home", user) for user in range(30)]))
        for act in (hours, cuts, users):
            act(alone)
        write(alone, 11)
        hours(alone)
    of_replicas = re.compile(r"SYSTEM|clusterAllReplicas|system\.(replicas|clusters)|hostName|cloud_mode|ON CLUSTER")
    assert [sql for sql in asked if of_replicas.search(sql)] == []
    assert len(asked) > len(tables())
