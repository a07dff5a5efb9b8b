"""docs/backup.md: the database is backed up while workers count, lost, and restored; counting goes on, exact."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from pintally.sinks.clickhouse.scripts import tables
from pintally.streams.settings import Settings
from tests.e2e.running import ASKED_S, Traffic, pintally, progress, verify, wait_caught_up, wait_for, workers
from tests.support.engines import TestEngines, topics_and_tables

DOC = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
BACK_UP, RESTORE = re.findall(r"```sql\n(.*?)```", DOC, re.DOTALL)
FIRST = ["ingest_ledger", "ingest_starts", "ingest_replaced", "ingest_lost", "sealed", "cuts"]
FIRST += ["feature_seals", "user_seals", "arm_day_seals"]
SCHEMA = Path(__file__).parents[2] / "sinks" / "clickhouse" / "schema"
TRAFFIC = ("--duplicates", "0.02", "--late", "0.005", "--broken", "0.005")


@pytest.fixture
def past(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """Topics whose producers stamp the records, so that hours are sealed and cuts published in seconds."""
    changed = settings.changed(topic_timestamps="CreateTime", seal_seconds=0.5, slice_records=10_000)
    with topics_and_tables(changed, engines.addresses):
        yield changed


def ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as the administrator, who need not be in a database that is there."""
    address = settings.clickhouse
    login = {"user": address.user, "password": address.password.get_secret_value()}
    with Client(address.host, address.port, **login) as client:
        answer: list[tuple[Any, ...]] = client.execute(statement)
        return answer


def run(settings: Settings, block: str, folder: str) -> None:
    """Run the statements of a block, for this test's database and in a folder of its own."""
    text = re.sub(r"\bpintally\b", settings.clickhouse.database, block).replace("2026-01-31", folder)
    for statement in text.split(";")[:-1]:
        ask(settings, statement)


def test_a_database_that_was_backed_up_while_workers_count_is_restored_and_counting_goes_on(
    past: Settings, engines: TestEngines, tmp_path: Path
) -> None:
    if not engines.can_restart:
        pytest.skip("the engines were given by PINTALLY_* variables: where they may write backups is not known")
    database, folder = past.clickhouse.database, uuid.uuid4().hex
    with workers(past, tmp_path) as start:
        worker = start()
        with Traffic(past, "--events", "40000", "--span", "180", "--seed", "1", *TRAFFIC) as earlier:
            sent = earlier.finish()["counted"]
        wait_for(lambda: ask(past, f"SELECT count() FROM {database}.cuts")[0][0], 60, "a published cut")
        with Traffic(past, "--rate", "3000", "--seed", "2", *TRAFFIC) as traffic:
            begin = progress(past)[0]
            wait_for(lambda: progress(past)[0] > begin, 60, "traffic is counted", ASKED_S)
            run(past, BACK_UP, folder)
            backed_up = progress(past)[0]
            wait_for(lambda: progress(past)[0] > backed_up + 5_000, 60, "more is counted after the backup", ASKED_S)
            worker.kill()
            before = progress(past)[0]
            run(past, RESTORE, folder)
            assert 0 < progress(past)[0] < before
            assert pintally(past, "migrate").returncode == 0
            start()
            wait_for(lambda: progress(past)[0] > before, 60, "what was lost is counted again", ASKED_S)
            sent += traffic.stop()["counted"]
        wait_caught_up(past)
        verify(past)
    assert ask(past, f"SELECT sum(events) FROM {database}.minutes_read") == [(sent,)]


def test_every_table_is_backed_up_in_the_order_that_the_page_explains_and_restored() -> None:
    copied = re.findall(r"BACKUP TABLE pintally\.(\w+) TO", BACK_UP)
    assert copied == [*FIRST, "seal_numbers"]
    assert set(copied) <= set(tables())
    naming = {name for file in SCHEMA.glob("*.sql") for name in re.findall(r"seal is in (\w+) count", file.read_text())}
    assert {"sealed", "user_seals"} <= naming <= set(FIRST)
    assert set(re.findall(r"pintally\.(\w+)[,\n]", BACK_UP)) == set(copied)  # what the one for the rest leaves out
    assert BACK_UP.index("BACKUP DATABASE") < BACK_UP.index("BACKUP TABLE pintally.seal_numbers")
    assert sorted(re.findall(r"File\('([^']+)'\)", RESTORE)) == sorted(re.findall(r"File\('([^']+)'\)", BACK_UP))
