"""What a live worker needs is taken away: it ends at once, with the words and the exit code of its start."""

import signal
import time
from pathlib import Path

import pytest
from kafka import TopicPartition

from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.e2e.running import BUSY, Traffic, wait_caught_up
from tests.e2e.test_endings import SECONDS, counting, supervised
from tests.support.forkserver import Forked

FETCHED_SECONDS = 1.0  # a fetch that was asked for before a freeze is answered by then
PATIENCE = 30.0


def caught_up(folder: Path, settings: Settings) -> Forked:
    """A worker that has counted all there is."""
    worker = counting(supervised(settings.changed(kafka_group_instance_id="one"), folder))
    some_events(settings)
    wait_caught_up(settings)
    return worker


def some_events(settings: Settings) -> None:
    with Traffic(settings, "--events", "300") as traffic:
        traffic.finish()


def refused(worker: Forked, words: str) -> None:
    """It has ended, and a person must act."""
    code = worker.wait(PATIENCE * BUSY)
    assert code == 2, f"{code}:\n{worker.text()[-4000:]}"
    assert words in worker.text()
    assert "Traceback" not in worker.text()


@pytest.mark.timeout(600)
def test_a_table_and_records_that_were_not_read_are_taken_away_from_a_live_worker(
    stack: Settings, tmp_path: Path
) -> None:
    stack = stack.changed(session_timeout_seconds=60.0)  # however long a busy machine takes
    a_table(tmp_path, stack)
    records_before_they_are_read(tmp_path, stack)


@pytest.mark.timeout(600)
def test_a_topic_is_taken_away_from_a_live_worker(stack: Settings, tmp_path: Path) -> None:
    """Its clients went on without it, and it counted the others."""
    a_topic(tmp_path, stack)


@pytest.mark.timeout(600)
def test_a_topic_is_deleted_and_made_again_under_a_live_worker(stack: Settings, tmp_path: Path) -> None:
    """Of a topic without records nothing showed it: what the new one held was counted as records of the old one, and
    once more after the worker was started again and the loss was accepted."""
    one = stack.changed(kafka_group_instance_id="one", session_timeout_seconds=60.0)
    worker, name = counting(supervised(one, tmp_path)), next(iter(stack.topics.names.values()))
    worker.send_signal(signal.SIGSTOP)  # so that it does not see it missing
    with open_admin(stack.kafka) as admin:
        admin.delete_topics([name])
    create_topics(*stack.sources)
    worker.send_signal(signal.SIGCONT)
    refused(worker, "it was deleted and created again")
    assert "pintally replace-topic" in worker.text()


def a_table(folder: Path, settings: Settings) -> None:
    worker = caught_up(folder, settings)
    with Connection(settings.clickhouse, 30) as clickhouse:
        clickhouse.execute("RENAME TABLE pin_minutes TO pin_minutes_elsewhere")
        some_events(settings)
        refused(worker, "run pintally migrate")
        clickhouse.execute("RENAME TABLE pin_minutes_elsewhere TO pin_minutes")


def records_before_they_are_read(folder: Path, settings: Settings) -> None:
    """Faust's stop could hang here: nothing was counted any more, and nobody took over."""
    worker = caught_up(folder, settings)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(FETCHED_SECONDS)
    some_events(settings)
    partitions = {
        TopicPartition(topic, n): -1
        for topic in settings.topics.names.values()
        for n in range(settings.topics.partitions)
    }
    with open_admin(settings.kafka) as admin:
        admin.delete_records(partitions)
    awake = time.time()
    worker.send_signal(signal.SIGCONT)
    refused(worker, "retention overtook the counting")
    assert "pintally accept-loss" in worker.text()
    print(f"ended {worker.ended_at - awake:.2f} s after it woke, {SECONDS:.0f} are allowed on a machine of its own")


def a_topic(folder: Path, settings: Settings) -> None:
    worker = caught_up(folder, settings)
    with open_admin(settings.kafka) as admin:
        admin.delete_topics([next(iter(settings.topics.names.values()))])
    refused(worker, "has no topic")
