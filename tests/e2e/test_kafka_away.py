"""Kafka away for longer than a session: workers wait for it, look for final hours meanwhile, and count on exactly."""

from pathlib import Path

from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, verify, wait_caught_up, wait_for, workers
from tests.support.engines import TestEngines


def test_a_worker_outlives_kafka_being_away_past_its_session(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    settings = stack.changed(seal_seconds=1.0)
    with workers(settings, tmp_path) as start:
        worker = start("one")
        with Traffic(settings, "--events", "5000", "--broken", "0.02", "--seed", "40") as traffic:
            traffic.finish()
        wait_caught_up(settings)
        restartable_engines.kafka.stop()
        wait_for(lambda: worker.said("Kafka is away") or not worker.alive, 60, "a word that Kafka is away")
        assert worker.alive
        restartable_engines.kafka.start()
        restartable_engines.kafka.wait_ready()
        with Traffic(settings, "--events", "5000", "--broken", "0.02", "--seed", "41") as traffic:
            traffic.finish()
        wait_caught_up(settings)
        assert worker.alive
    verify(settings)
