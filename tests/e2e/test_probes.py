"""Probes of a real worker: it lives through everything that a restart would not mend, and says why it is not ready."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from pintally.streams.settings import Settings
from tests.e2e.running import BUSY, Traffic, Worker, wait_caught_up, wait_for, workers
from tests.e2e.test_metrics import url_of
from tests.support.engines import TestEngines
from tests.support.scrape import ask, ready, scrape, total

ASK_SECONDS = 0.2
DEAD_SECONDS = 10.0 * BUSY  # without an answer; what docs/metrics.md proposes to Kubernetes is 30 s


@contextmanager
def living(worker: Worker) -> Iterator[None]:
    """Raises AssertionError unless /livez answers 200. A worker that takes its own place does not answer meanwhile."""
    failed: list[str] = []
    over = threading.Event()

    def watch() -> None:
        answered = monotonic()
        while not over.wait(ASK_SECONDS):
            status, text = ask(f"{url_of(worker)}/livez")
            if status == 200:
                answered = monotonic()
            elif status or monotonic() - answered > DEAD_SECONDS:
                failed.append(f"{status} {text}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert failed == []
    assert worker.alive


def wait_not_ready(worker: Worker, reason: str) -> None:
    wait_for(lambda: (found := ready(url_of(worker)))[0] is False and found[1].startswith(reason), 60, reason)


def wait_ready(worker: Worker) -> None:
    wait_for(lambda: ready(url_of(worker))[0], 60, "ready")


def test_a_worker_lives_while_clickhouse_is_away_and_reading_is_paused(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    settings = stack.changed(max_pending_cells=400)
    with Traffic(settings, "--events", "20000", "--broken", "0.02", "--seed", "70") as traffic:  # it begins far behind
        traffic.finish()
    with workers(settings, tmp_path) as start:
        worker = start("one")
        with living(worker):
            wait_ready(worker)
            url = url_of(worker)
            assert ask(f"{url}/startupz")[0] == 200
            wait_caught_up(settings)

            restartable_engines.clickhouse.stop()
            with Traffic(settings, "--events", "3000", "--seed", "71") as traffic:
                traffic.finish()
            wait_not_ready(worker, "ClickHouse has not answered")
            wait_for(lambda: '"reading": false' in ask(f"{url}/readyz")[1], 60, "reading is paused")
            series = scrape(url)
            assert series["pintally_worker_engine_away_seconds", ("clickhouse",)] > 0
            assert series["pintally_worker_partitions", ("paused",)] > 0
            assert series["pintally_worker_pending_cells", ()] >= 200
            assert series["pintally_worker_clickhouse_errors_total", ("network",)] > 0
            assert total(series, "pintally_worker_source_lag_seconds") > 0
            restartable_engines.clickhouse.start()
            restartable_engines.clickhouse.wait_ready()
            wait_ready(worker)
            wait_caught_up(settings)


def test_a_worker_lives_while_kafka_is_away_and_may_begin_meanwhile(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    with workers(stack, tmp_path) as start:
        worker, other = start("one"), start("two")
        with living(worker):
            wait_ready(worker)
            wait_ready(other)
            other.kill()  # a rebalance begins, at its session's end
            restartable_engines.kafka.stop()
            wait_not_ready(worker, "Kafka has not answered")
            waiting = start("three")  # it begins while Kafka is away
            with living(waiting):
                wait_not_ready(waiting, "Kafka has not answered")
                url = url_of(waiting)
                assert ask(f"{url}/startupz")[0] == 200, "who waits for Kafka must not be killed for it"
                assert scrape(url)["pintally_worker_engine_away_seconds", ("kafka",)] > 0
                restartable_engines.kafka.start()
                restartable_engines.kafka.wait_ready()
                wait_ready(waiting)
            wait_ready(worker)


def test_what_is_folded_again_after_a_kill_is_restored_and_is_not_fresh(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        worker = start("one")
        with Traffic(stack, "--events", "3000", "--seed", "72") as traffic:
            traffic.finish()
        wait_caught_up(stack)
        worker.kill()
        worker = start("one")
        with living(worker):
            wait_ready(worker)
            series = scrape(url_of(worker))
    assert total(series, "pintally_worker_restored_records_total") >= 3000
    assert series["pintally_worker_restore_seconds", ()] >= 0
    assert total(series, "pintally_worker_freshness_seconds_count") == 0
