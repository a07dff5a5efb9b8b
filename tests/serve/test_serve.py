"""`pintally serve` on real engines: what it shows is what the ledger says, and when it cannot know, it says so."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from pintally.schemas.metrics import SERVE, VERIFIED
from pintally.serve.workers import parse
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, pintally, wait_caught_up, wait_for, workers
from tests.serve.serving import between, of_document, of_ledger, serving
from tests.support.engines import TestEngines
from tests.support.programs import promtool

RETENTION_S = 3600
TRAFFIC = ("--rate", "1500", "--duplicates", "0.02", "--late", "0.004", "--broken", "0.004")


def test_it_shows_the_ledger_while_traffic_runs_a_worker_is_killed_and_clickhouse_goes_away(
    stack: Settings, restartable_engines: TestEngines, tmp_path: Path
) -> None:
    settings = stack.changed(slice_records=5_000)
    with serving(settings, tmp_path) as serve, workers(settings, tmp_path) as start:
        assert "No worker runs" in serve.wait_sentence("No worker runs")["condition"]["sentence"]
        worker = start("one")
        with Traffic(settings, *TRAFFIC) as traffic:
            serve.wait_sentence("^All records are counted")
            wait_for(lambda: members(serve.state()) == {"one"}, 60, "all sources are said to be the worker's")
            for _ in range(3):
                low = of_ledger(settings)
                state = serve.next_state()
                assert between(low, of_document(state), of_ledger(settings))
                assert members(state) == {"one"}
            worker.kill()
            state = serve.wait_sentence("No worker runs: [0-9,]+ records? waits?")
            assert state["condition"]["level"] == "stopped"
            assert state["condition"]["command"].startswith("pintally worker")
            restartable_engines.clickhouse.kill()
            since = serve.wait_sentence("^ClickHouse does not answer")
            later = serve.next_state()
            assert later["away"]["clickhouse"] == since["away"]["clickhouse"]
            assert later["looked_at"] > since["looked_at"] > since["away"]["clickhouse"]
            assert of_document(later) == of_document(state)
            assert serve.get("/livez")[0] == 200
            restartable_engines.clickhouse.start()
            restartable_engines.clickhouse.wait_ready()
            start("one")
            serve.wait_sentence("^(All records are counted|Counting is)", 120)
            traffic.stop()
        wait_caught_up(settings)
        wait_for(lambda: serve.state()["lag"] == 0, 30, "nothing is left to count")
        assert of_document(serve.next_state()) == of_ledger(settings)
        assert serve.stop() == 0


def members(state: dict[str, Any]) -> set[str | None]:
    return {source["member"] for source in state["sources"]}


def test_its_metrics_are_those_that_are_declared_and_promtool_accepts_them(stack: Settings, tmp_path: Path) -> None:
    assert pintally(stack, "emulate", "--events", "2000", *TRAFFIC[2:]).returncode == 0
    with serving(stack, tmp_path) as serve, workers(stack, tmp_path) as start:
        start("one")
        wait_caught_up(stack)
        wait_for(lambda: serve.state()["lag"] == 0 and serve.state()["dead_letters"], 60, "all is counted")
        status, text = serve.get("/metrics")
        assert status == 200
        shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE pintally")}
        assert shown == {metric.name for metric in SERVE if metric not in VERIFIED}
        ledger = of_ledger(stack)
        told = {
            (dict(labels)["topic"], dict(labels)["outcome"]): int(value)
            for (name, labels), value in parse(text, "pintally_records").items()
        }
        assert told == ledger
        assert promtool("check", "metrics", text=text) == (0, "")


def test_retention_comes_near_for_a_source_that_was_never_counted_too(stack: Settings, tmp_path: Path) -> None:
    topic = next(iter(stack.topics.names.values()))
    set_topic_configs(stack.kafka, {topic: {"retention.ms": str(RETENTION_S * 1000)}})
    assert pintally(stack, "emulate", "--events", "500").returncode == 0
    with serving(stack, tmp_path) as serve:
        found = wait_for(
            lambda: [each for each in serve.state()["sources"] if each["lag_seconds"]], 60, "a second look"
        )
        assert {each["state"] for each in found} == {"not started"}
        for each in found:
            if each["topic"] == topic:
                assert RETENTION_S - 2 < each["retention_headroom"] + each["lag_seconds"] <= RETENTION_S
        told = parse(serve.get("/metrics")[1], "pintally_source_retention_headroom_seconds")
        left = {dict(labels)["topic"] for (_, labels), value in told.items() if value < RETENTION_S}
        assert left == {topic}


def test_retention_by_size_comes_near_as_the_beginning_of_the_log_moves(stack: Settings, tmp_path: Path) -> None:
    """What the broker deletes for the size of a log is deleted here by command: it looks only each five minutes."""
    topic = next(iter(stack.topics.names.values()))
    set_topic_configs(stack.kafka, {topic: {"retention.bytes": "1000000"}})
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    with serving(stack, tmp_path) as serve, open_admin(stack.kafka) as admin:

        def produced() -> dict[str, Any]:
            producer.send(topic, b"{}", partition=0)
            producer.flush()
            sources = serve.state()["sources"]
            return next((each for each in sources if (each["topic"], each["partition"]) == (topic, 0)), {})

        before = wait_for(lambda: each if (each := produced()).get("log_end", 0) > 3 else None, 60, "records are seen")
        assert not before["limited_by_size"]
        admin.delete_records({TopicPartition(topic, 0): 2})
        near = wait_for(
            lambda: each if (each := produced()).get("limited_by_size") else None, 60, "its beginning moved"
        )
        assert near["retention_headroom"] == 0.0
        condition = serve.wait_condition("retention")
        assert condition["command"].endswith("--add-config retention.bytes=-1")
        told = parse(serve.get("/metrics")[1], "pintally_source_retention_headroom_seconds")
        assert 0.0 in told.values()
    producer.close()


def test_what_verify_wrote_is_on_the_page_and_in_the_metrics(stack: Settings, tmp_path: Path) -> None:
    file = tmp_path / "verify.prom"
    with serving(stack, tmp_path, serve_verified=str(file)) as serve:
        assert serve.next_state()["verified"] == []
        values = dict(zip((metric.name for metric in VERIFIED), (time.time(), 1000, 1, 2), strict=True))
        file.write_text("".join(f'{name}{{scope="whole"}} {value}\n' for name, value in values.items()))
        state = serve.wait_sentence("The last verify found 2 differences")
        assert (state["condition"]["level"], state["condition"]["command"]) == ("wrong", "pintally verify")
        text = serve.get("/metrics")[1]
        assert 'pintally_differences{scope="whole"} 2.0' in text


def test_answers_carry_the_strict_policy_and_no_route_changes_anything(stack: Settings, tmp_path: Path) -> None:
    with serving(stack, tmp_path) as serve:
        for path in ("/", "/page/page.js", "/api/state.json", "/metrics", "/livez"):
            with urllib.request.urlopen(serve.url + path, timeout=30) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'self';"), path
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert serve.get("/page/../cli/serve.py")[0] == 404
        assert serve.get("/page/nothing.js")[0] == 404
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(urllib.request.Request(serve.url + "/api/state.json", method="POST"), timeout=30)
        wait_for(lambda: serve.get("/readyz")[0] == 200, 30, "both engines answered")
