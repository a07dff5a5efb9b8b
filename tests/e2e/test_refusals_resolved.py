"""Whole workers beside the commands that mend; each single case is in tests/operations/test_refusals_resolved.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import describe_topics, group_members, read_offsets, sources_of
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, pintally, progress, verify, wait_caught_up, wait_for, workers

TRAFFIC = ("--duplicates", "0.02", "--late", "0.01", "--broken", "0.01")
Counted = Callable[[], None]


class Field:
    """A stack that is counted by whole workers, one after the other."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings.changed(slice_records=500)
        self.directory = directory

    def produce(self, events: int, seed: int = 1) -> None:
        with Traffic(self.settings, "--events", str(events), "--seed", str(seed), *TRAFFIC) as traffic:
            traffic.finish()

    def count(self) -> None:
        """A worker counts all there is, and stops."""
        self.directory.mkdir(exist_ok=True)
        with workers(self.settings, self.directory) as start:
            worker = start()
            wait_caught_up(self.settings)
            assert worker.stop() == 0
        wait_for(lambda: not group_members(self.settings.kafka), 30, "an empty group")

    def refused(self, *words: str) -> None:
        """A worker ends at once and says all this."""
        done = pintally(self.settings, "worker", timeout=60)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in done.stderr
        wait_for(lambda: not group_members(self.settings.kafka), 30, "an empty group: it ended without a word to Kafka")

    def run(self, *arguments: str, code: int = 0) -> str:
        done = pintally(self.settings, *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def verify(self) -> Any:
        return verify(self.settings)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with Connection(self.settings.clickhouse, 60) as connection:
            return list(connection.execute(statement, settings={"mutations_sync": 2}) or [])

    def trim(self, keep: int) -> None:
        """Retention leaves `keep` records of each partition."""
        sources = sources_of(describe_topics(self.settings.kafka, self.settings.topics))
        ends = read_offsets(self.settings.kafka, sources)
        with open_admin(self.settings.kafka) as admin:
            admin.delete_records(
                {TopicPartition(s.topic, s.partition): max(0, e.log_end - keep) for s, e in ends.items() if e.log_end}
            )

    @property
    def total(self) -> int:
        return int(self.sql("SELECT sum(events) FROM pin_minutes FINAL")[0][0])

    def lag(self) -> int:
        counted, end = progress(self.settings)
        return end - counted


@pytest.fixture
def field(stack: Settings, tmp_path: Path) -> Field:
    return Field(stack, tmp_path / "workers")


def test_retention_overtook_the_counting(field: Field) -> None:
    """Offsets are gone uncounted: they are given up, named for ever, and all others are exact."""
    field.produce(3_000)
    field.count()
    field.verify()
    before = field.total
    field.produce(4_000, seed=2)
    field.trim(keep=200)
    field.refused("retention overtook", "pintally accept-loss")
    said = field.run("accept-loss", "--yes", "--note", "the disk was full")
    assert "deleted from the log before" in said
    assert "no new losses" in field.run("accept-loss", "--yes")
    field.count()
    found = field.verify()
    assert any("the disk was full" in line for line in found["lost"])
    assert "the disk was full" in field.run("status")
    assert "the disk was full" in field.run("rules", "show")
    assert field.total > before, "what was counted stays"


def test_a_worker_goes_on_where_retention_emptied_the_log_and_refuses_what_comes_too_soon(field: Field) -> None:
    """What is counted is gone, and nothing else: ids of the next twenty minutes may be among it, later ones not."""
    field.produce(2_000)
    field.count()
    before = field.total
    field.trim(keep=0)
    with workers(field.settings, field.directory) as start:
        worker = start()
        worker.wait_ready()
        field.produce(200, seed=2)
        wait_for(lambda: not worker.alive, 60, "the worker refuses")
        assert worker.process.returncode == 2
        assert worker.said("within twenty minutes of those below offset")
        assert worker.said("pintally accept-loss")
    assert field.total == before
    wait_for(lambda: not group_members(field.settings.kafka), 30, "an empty group")
    field.run("accept-loss", "--yes")
    field.count()
    assert field.lag() == 0
    assert field.total > before


def test_rules_are_not_changed_under_a_worker(field: Field) -> None:
    field.directory.mkdir()
    with workers(field.settings, field.directory) as start:
        start().wait_ready()
        done = pintally(field.settings, "rules", "apply", "--yes")
    assert (done.returncode, "Stop all workers" in done.stderr) == (2, True), done.stderr


def test_clickhouse_was_restored_from_an_older_copy_under_a_worker(field: Field) -> None:
    """The worker notices, restarts and folds what is missing; nobody need do anything."""
    tables = ("pin_minutes", "ingest_ledger", "ingest_starts", "dead_letters")
    field.produce(2_000)
    field.count()
    for table in tables:
        field.sql(f"CREATE TABLE old_{table} AS {table}")
        field.sql(f"INSERT INTO old_{table} SELECT * FROM {table}")
    field.produce(2_000, seed=2)
    with workers(field.settings, field.directory) as start:
        start()
        wait_caught_up(field.settings)
        exact = field.total
        for table in tables:
            field.sql(f"EXCHANGE TABLES {table} AND old_{table}")
        assert field.lag() > 0
        field.produce(100, seed=3)
        wait_caught_up(field.settings)
        field.verify()
        assert field.total > exact


def test_deleted_rows_are_found_by_verify_and_repaired_while_a_worker_runs(field: Field) -> None:
    field.produce(3_000)
    field.directory.mkdir()
    with workers(field.settings, field.directory) as start:
        start()
        wait_caught_up(field.settings)
        exact = field.total
        ((day,),) = field.sql("SELECT toYYYYMMDD(max(hour)) FROM pin_minutes")
        field.sql(f"ALTER TABLE pin_minutes DROP PARTITION ID '{day}'")
        field.sql("DELETE FROM dead_letters WHERE offset % 2 = 0")
        assert json.loads(field.run("verify", "--json", code=1))["findings"]
        assert "repaired" in field.run("repair")
        field.verify()
        assert field.total == exact
