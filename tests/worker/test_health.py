"""Readiness: what makes a worker not ready, and that nothing else does."""

from dataclasses import replace
from typing import Any

import pytest

from pintally.streams.worker.health import Seen, Stage, readiness

WELL = Seen(
    Stage.RUNNING, {"Kafka": 0.0, "ClickHouse": 0.0}, rebalancing=False, restoring=0, paused=False, flushed_ago=0.5
)


def test_a_worker_that_counts_is_ready() -> None:
    assert readiness(WELL).document == {
        "ready": True,
        "reason": None,
        "checks": dict.fromkeys(("kafka", "clickhouse", "running", "assigned", "restored", "reading", "flushed"), True),
    }


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        ({"away": {"Kafka": 12.0, "ClickHouse": 0.0}}, "kafka", "Kafka has not answered for 12 s"),
        ({"away": {"Kafka": 0.0, "ClickHouse": 0.4}}, "clickhouse", "ClickHouse has not answered for 0 s"),
        ({"stage": Stage.STOPPING}, "running", "this worker is stopping"),
        ({"rebalancing": True}, "assigned", "the group has not given out its partitions"),
        ({"restoring": 3}, "restored", "3 sources are folded again up to where they are flushed"),
        ({"paused": True}, "reading", "reading is paused: too many cells wait for ClickHouse"),
        ({"flushed_ago": 31.0}, "flushed", "no flush has succeeded for 31 s"),
    ],
)
def test_each_check_that_does_not_hold_is_the_reason(change: dict[str, Any], check: str, reason: str) -> None:
    found = readiness(replace(WELL, **change))
    assert not found.ready
    document = found.document
    assert document["reason"] == reason
    checks = document["checks"]
    assert isinstance(checks, dict)
    assert checks[check] is False


def test_an_engine_that_is_away_explains_more_than_what_follows_from_it() -> None:
    seen = replace(WELL, away={"Kafka": 0.0, "ClickHouse": 40.0}, paused=True, flushed_ago=40.0)
    assert readiness(seen).document["reason"] == "ClickHouse has not answered for 40 s"
