"""Whole processes as ClickHouse users with a profile: a worker counts exactly, or ends with the name of the setting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, pintally, verify, wait_caught_up, wait_for, workers
from tests.support.engines import TestEngines, drop_topics
from tests.support.own_clickhouse import clickhouse_with
from tests.support.profiles import PROFILES


@pytest.fixture
def place(settings: Settings, engines: TestEngines, tmp_path: Path) -> Iterator[Settings]:
    """Topics and tables of the test's own, in a ClickHouse that has a user a profile."""
    name = settings.clickhouse.database
    with clickhouse_with(tmp_path / "clickhouse", PROFILES, name) as address:
        at = {
            "clickhouse_host": address.host,
            "clickhouse_port": address.port,
            "clickhouse_http_port": address.http_port,
        }
        own = settings.changed(**at)
        migrate(own.clickhouse)
        create_topics(*own.sources)
        try:
            yield own
        finally:
            drop_topics(engines.addresses, own.topics.topic_prefix)


def test_a_worker_counts_under_the_profile_that_lost_counts_and_a_user_who_only_reads_is_told(
    place: Settings, tmp_path: Path
) -> None:
    reported = place.changed(clickhouse_user="as_reported")
    reads = place.changed(clickhouse_user="readonly_1")
    with workers(reads, tmp_path) as start:
        worker = start("reads")
        wait_for(lambda: not worker.alive, 60, "the worker's end")
        assert worker.process.returncode == 2
        assert worker.said("readonly")
        assert not worker.said("Traceback")
    with workers(reported, tmp_path) as start:
        worker = start("counts")
        with Traffic(reported, "--events", "3000") as traffic:
            expected = traffic.finish()
        wait_caught_up(place)
        verify(reported)
    with Connection(place.clickhouse, 30, only_reads=True) as connection:
        assert connection.one("SELECT sum(events) FROM pin_minutes FINAL") == (expected["counted"],)
    for command in (("status",), ("top",), ("verify",), ("rules", "show"), ("dlq", "list")):
        done = pintally(reads, *command)
        assert done.returncode == 0, done.stderr
