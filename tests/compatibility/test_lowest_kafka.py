"""The lowest supported version of Kafka, in every run of the suite; `python -m tests.compatibility` runs all."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from tests.compatibility.broker import broker
from tests.compatibility.test_producers import CODECS, RECORDS, produce_with_aiokafka
from tests.compatibility.versions import lowest_supported
from tests.e2e.running import Traffic, pintally, verify, wait_caught_up, workers
from tests.e2e.test_transactions import produce
from tests.support.engines import TestEngines, drop_database

VERSIONS = os.environ.get("PINTALLY_TEST_BROKERS", lowest_supported()).split(",")


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_counted_exactly_with_transactions_codecs_late_and_broken_records(
    settings: Settings, engines: TestEngines, tmp_path: Path, version: str
) -> None:
    with broker(version, tmp_path / "kafka") as kafka:
        old = settings.changed(kafka_bootstrap_servers=kafka)
        try:
            assert pintally(old, "migrate").returncode == 0
            sent, markers = _send(old)
            with workers(old, tmp_path) as start:
                start()
                wait_caught_up(old)
            found = verify(old)["sources"]
            for outcome in ("counted", "duplicate", "late", "invalid"):
                assert sum(source[outcome] for source in found) == sent[outcome]
            assert sum(source["gaps"] for source in found) == markers
            shown = pintally(old, "status", "--json")
            assert shown.returncode == 0, shown.stderr
            assert all(source["lag"] == 0 for source in json.loads(shown.stdout)["sources"])
        finally:
            drop_database(engines.addresses, settings.clickhouse.database)


def _send(settings: Settings) -> tuple[dict[str, int], int]:
    """What was sent, by outcome; and the offsets of what was aborted and of the markers."""
    shares = ("--duplicates", "0.05", "--late", "0.05", "--broken", "0.05")
    with Traffic(settings, "--events", "2000", *shares) as traffic:
        sent = dict(traffic.finish())
    asyncio.run(produce(settings, 2, committed_pin=1, aborted_pin=2))
    for codec in CODECS:
        asyncio.run(produce_with_aiokafka(settings, codec, idempotent=True))
    sent["counted"] += 2 * 20 + len(CODECS) * RECORDS
    return sent, 2 * 20 + 2 * 2 * 2
