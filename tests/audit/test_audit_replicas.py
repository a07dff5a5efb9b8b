"""The audit on replicas: it waits until one server has what it reads, and takes no answer of another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Any

import pytest

from pintally.audit import replicas
from pintally.audit.addresses import Addresses
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.replicas import LAGGING, REPLICATED, await_rows
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings
from tests.support.served import served


class Queues:
    """In the place of a server with replicas: what its queues say, look after look."""

    def __init__(self, *looks: tuple[str, ...], empty: tuple[str, ...] = ()) -> None:
        self.left = list(looks)
        self.empty = empty  # they may have no log at all
        self.asked: list[str] = []

    def rows(self, sql: str) -> list[dict[str, Any]]:
        self.asked.append(sql)
        names = ("pin_minutes", "ingest_ledger", "cuts") if sql == REPLICATED else self._next()
        return [{"table": name, "may_be_empty": name in self.empty} for name in names]

    def _next(self) -> tuple[str, ...]:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "PAUSE_SECONDS", 0)


def test_without_replicas_nothing_is_asked() -> None:
    queues = Queues(("pin_minutes",))
    await_rows(queues, replicas=False)  # type: ignore[arg-type]  # stands for a server
    assert queues.asked == []


def test_a_table_that_was_in_step_once_is_not_waited_for_again() -> None:
    """Under load a queue is seldom empty: what it had at the beginning is what counts."""
    queues = Queues(("pin_minutes", "ingest_ledger"), ("ingest_ledger", "cuts"), ("pin_minutes", "cuts"))
    await_rows(queues, replicas=True)  # type: ignore[arg-type]  # stands for a server
    assert queues.asked == [REPLICATED, LAGGING, LAGGING, LAGGING]


def test_a_server_that_stays_behind_gives_no_verdict_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "WAIT_SECONDS", 0.05)
    with pytest.raises(CannotTellNow, match=r"lags behind other replicas.*: pin_minutes"):
        await_rows(Queues(("pin_minutes",)), replicas=True)  # type: ignore[arg-type]  # stands for a server


def test_tables_into_which_nothing_was_inserted_are_waited_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "FIRST_SECONDS", 0.05)
    queues = Queues(("cuts", "pin_minutes"), ("cuts",), empty=("cuts",))
    began = monotonic()
    await_rows(queues, replicas=True)  # type: ignore[arg-type]  # stands for a server
    assert monotonic() - began > 0.05


@pytest.mark.engines
def test_a_table_without_a_log_is_told_from_one_that_lags_or_has_lost_keeper(stack: Settings) -> None:
    """Rows as real servers gave them; the engine runs the condition."""
    columns = ("table", "log_pointer", "log_max_index", "inserts_in_queue", "total_replicas", "is_readonly")
    rows = [
        ("empty", 0, 0, 0, 3, 0), ("one entry, in step", 1, 0, 0, 3, 0), ("in step", 4, 3, 0, 3, 0),
        ("not pulled", 3, 3, 0, 3, 0), ("not fetched", 4, 3, 1, 3, 0), ("without Keeper", 0, 0, 0, 0, 1),
    ]  # fmt: skip
    types = ", ".join(f"{name} {'String' if name == 'table' else 'UInt64'}" for name in ("database", *columns))
    seen = f"values('{types.replace('database UInt64', 'database String')}', " + ", ".join(
        str((stack.clickhouse.database, *row)) for row in rows
    )
    with ClickHouse(addresses_of(stack)) as clickhouse:
        found = clickhouse.rows(LAGGING.replace("system.replicas", f"{seen})"))
    assert {row["table"]: row["may_be_empty"] for row in found} == {
        "empty": 1, "not pulled": 0, "not fetched": 0, "without Keeper": 0
    }  # fmt: skip


@pytest.mark.engines
def test_the_local_engine_knows_these_columns_and_has_no_queue(stack: Settings) -> None:
    stack = stack.changed(clickhouse_cluster="counts")
    with ClickHouse(addresses_of(stack)) as clickhouse:
        await_rows(clickhouse, replicas=True)
        assert clickhouse.server


@contextmanager
def answered_by(*names: str) -> Iterator[int]:
    """A balancer: each request is answered by the next of these servers, the last one again and again. Its port."""
    turns = list(names)

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("X-ClickHouse-Server-Display-Name", turns.pop(0) if len(turns) > 1 else turns[0])
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b'{"n": 1}')

    with served(Answer) as port:
        yield port


def asked(port: int, **more: Any) -> ClickHouse:
    return ClickHouse(Addresses("", (), clickhouse_http_port=port, **more))


def test_one_replica_must_answer_all_of_a_check() -> None:
    with answered_by("a", "a", "b") as port, asked(port, replicas=True) as clickhouse:
        assert clickhouse.rows("SELECT 1 AS n") == [{"n": 1}]
        assert clickhouse.server == "a"
        with pytest.raises(CannotTell, match="answered by several servers, a and b") as refused:
            clickhouse.rows("SELECT 1 AS n")
    assert "one replica of each shard" in refused.value.remedy


def test_another_process_of_the_check_asks_the_same_replica() -> None:
    with answered_by("b") as port, asked(port, replicas=True, server="a") as clickhouse, pytest.raises(CannotTell):
        clickhouse.rows("SELECT 1 AS n")


def test_without_replicas_the_name_of_a_server_means_nothing() -> None:
    with answered_by("a", "a", "b") as port, asked(port) as clickhouse:
        assert [clickhouse.rows("SELECT 1 AS n") for _ in range(3)] == [[{"n": 1}]] * 3
