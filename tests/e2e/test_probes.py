"""Probes of a real worker: it lives through everything that a restart would not mend, and says why it is not ready."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, wait_caught_up, wait_for, workers
from tests.e2e.test_metrics import url_of
from tests.support.engines import TestEngines
from tests.support.scrape import ask, ready, scrape

ASK_SECONDS = 0.2


@contextmanager
def living(url: str) -> Iterator[None]:
    """Raises AssertionError unless /livez answered 200 all the time."""
    failed: list[str] = []
    asked = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal asked
        while not over.wait(ASK_SECONDS):
            status, text = ask(f"{url}/livez")
            asked += 1
            if status != 200:
                failed.append(f"{status} {text}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert asked
    assert failed == []


def wait_not_ready(url: str, reason: str) -> None:
    wait_for(lambda: not (found := ready(url))[0] and found[1].startswith(reason), 60, f"not ready: {reason}")


def wait_ready(url: str) -> None:
    wait_for(lambda: ready(url)[0], 120, "ready")


def test_a_worker_lives_through_all_that_a_restart_would_not_mend(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    settings = stack.changed(max_pending_cells=400)
    with Traffic(settings, "--events", "20000", "--broken", "0.02", "--seed", "70") as traffic:  # it begins far behind
        traffic.finish()
    with workers(settings, tmp_path) as start:
        worker = start("one")
        url = url_of(worker)
        with living(url):
            wait_ready(url)
            assert ask(f"{url}/startupz")[0] == 200
            wait_caught_up(settings)

            restartable_engines.clickhouse.stop()
            with Traffic(settings, "--events", "3000", "--seed", "71") as traffic:
                traffic.finish()
            wait_not_ready(url, "ClickHouse has not answered")
            wait_for(lambda: '"reading": false' in ask(f"{url}/readyz")[1], 60, "reading is paused")
            series = scrape(url)
            assert series["pintally_worker_engine_away_seconds", ("clickhouse",)] > 0
            assert series["pintally_worker_partitions", ("paused",)] > 0
            assert series["pintally_worker_pending_cells", ()] >= 200
            assert series["pintally_worker_clickhouse_errors_total", ("network",)] > 0
            restartable_engines.clickhouse.start()
            restartable_engines.clickhouse.wait_ready()
            wait_ready(url)
            wait_caught_up(settings)

            other = start("two")  # a rebalance
            wait_ready(url_of(other))
            other.kill()

            restartable_engines.kafka.stop()
            wait_not_ready(url, "Kafka has not answered")
            waiting = start("three")  # it begins while Kafka is away
            other_url = url_of(waiting)
            with living(other_url):
                wait_not_ready(other_url, "Kafka has not answered")
                assert ask(f"{other_url}/startupz")[0] == 200, "who waits for Kafka must not be killed for it"
                assert scrape(other_url)["pintally_worker_engine_away_seconds", ("kafka",)] > 0
                restartable_engines.kafka.start()
                restartable_engines.kafka.wait_ready()
                wait_ready(other_url)
            wait_ready(url)
        assert worker.alive


def test_what_is_folded_again_after_a_kill_is_counted_as_restored(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        worker = start("one")
        with Traffic(stack, "--events", "3000", "--seed", "72") as traffic:
            traffic.finish()
        wait_caught_up(stack)
        worker.kill()
        url = url_of(start("one"))
        with living(url):
            wait_ready(url)
            series = scrape(url)
    restored = sum(value for (name, _), value in series.items() if name == "pintally_worker_restored_records_total")
    assert restored == 3000
    assert series["pintally_worker_restore_seconds", ()] >= 0
    assert series["pintally_worker_freshness_seconds_count", next(iter(topics(series)))] == 0


def topics(series: object) -> Iterator[tuple[str, ...]]:
    """The labels of freshness."""
    for name, labels in series:  # type: ignore[attr-defined]
        if name == "pintally_worker_freshness_seconds_count":
            yield labels
