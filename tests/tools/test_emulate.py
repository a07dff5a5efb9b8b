"""What the emulator says it sent is what Kafka holds."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from pintally.schemas.events import ContractError, validate
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import create_topics, describe_topics, read_offsets, sources_of
from pintally.streams.settings import Settings
from pintally.tools.emulate import producer
from pintally.tools.emulate.plan import Plan
from pintally.tools.emulate.traffic import SLAB_RECORDS, Traffic


@pytest.fixture(params=["LogAppendTime", "CreateTime"])
def made(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Topics of both kinds, dropped afterwards."""
    chosen = settings.changed(topic_timestamps=request.param)
    create_topics(*chosen.sources)
    yield chosen
    with open_admin(chosen.kafka) as admin:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(chosen.topics.topic_prefix)])


def command(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PINTALLY_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "PINTALLY_TOPIC_PREFIX": settings.topics.topic_prefix,
    }
    line = [sys.executable, "-m", "pintally.cli", "emulate", *arguments]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def emulate(settings: Settings, *arguments: str) -> dict[str, Any]:
    out, err = command(settings, "--json", *arguments).communicate(timeout=360)
    assert err == ""
    report: dict[str, Any] = json.loads(out)
    return report


def ends(settings: Settings) -> int:
    return sum(
        each.log_end
        for each in read_offsets(settings.kafka, sources_of(describe_topics(settings.kafka, settings.topics))).values()
    )


async def read_all(settings: Settings) -> dict[TopicPartition, list[Any]]:
    topics = {
        name: topic
        for name, topic in describe_topics(settings.kafka, settings.topics).items()
        if name in settings.topics.names.values()
    }
    offsets = read_offsets(settings.kafka, sources_of(topics))
    missing = {TopicPartition(source.topic, source.partition): each.log_end for source, each in offsets.items()}
    found: dict[TopicPartition, list[Any]] = {partition: [] for partition in missing}
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers, enable_auto_commit=False
    ) as consumer:
        consumer.assign(list(missing))
        await consumer.seek_to_beginning()
        while any(len(found[partition]) < end for partition, end in missing.items()):
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                found[partition] += records
    return found


def test_kafka_holds_exactly_what_the_truth_says(made: Settings, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    shares = ("--duplicates", "0.05", "--late", "0.02", "--broken", "0.02")
    report = emulate(made, "--events", "20000", "--pins", "500", "--bots", "0.1", "--truth", str(truth), *shares)
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    log = asyncio.run(read_all(made))

    by_partition: Counter[tuple[str, int]] = Counter()
    for line in lines:
        if "outcome" in line:
            by_partition[line["topic"], line["partition"]] += line["records"]
    assert by_partition == {(each.topic, each.partition): len(records) for each, records in log.items()}
    assert (report["records"], report["duplicate"], report["late"], report["invalid"]) == (20_000, 1_000, 400, 400)

    counts: Counter[tuple[str, int, int, str, str]] = Counter()
    trusted: Counter[tuple[str, int, int, str, str]] = Counter()
    once: set[UUID] = set()
    actions = {topic: action for action, topic in made.topics.names.items()}
    newest = time.time() * 1000
    repeated = 0
    cap = made.rules.to_rules().trusted_cap
    for each, records in log.items():
        earlier: Counter[tuple[int, int, int]] = Counter()  # counted, by ten minutes of arrival, user and pin
        place = DefaultPartitioner()
        assert all(place(record.key, [0, 1], [0, 1]) == each.partition for record in records)
        stamps = [record.timestamp for record in records]
        assert stamps == sorted(stamps)
        for record in records:
            try:
                event = validate(record.value, actions[each.topic])
            except ContractError:
                continue
            if not newest - 3_600_000 < event.occurred_at <= newest:
                continue
            repeated += event.event_id in once
            if event.event_id not in once:
                minute, surface, platform = event.occurred_at // 60_000 * 60, event.surface, event.platform
                cell = event.action, minute, event.pin_id, surface or "unknown", platform or "unknown"
                by = record.timestamp // 600_000, event.user_id, event.pin_id
                counts[cell] += 1
                trusted[cell] += earlier[by] < cap
                earlier[by] += 1
            once.add(event.event_id)
    assert repeated == 1_000
    said = {
        (line["action"], line["minute"], int(line["pin_id"]), line["surface"], line["platform"]): line
        for line in lines
        if "count" in line
    }
    assert {cell: line["count"] for cell, line in said.items()} == counts
    assert {cell: line["trusted"] for cell, line in said.items()} == {cell: trusted[cell] for cell in counts}
    assert counts.total() > trusted.total() + 700, "every other bot hammers"


class Unhurried(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Batches wait for a moment before they are queued, as they do while the one before them waits."""

    async def send_batch(self, *batch: Any, **where: Any) -> Any:
        await asyncio.sleep(random.uniform(0, 0.05))
        return await super().send_batch(*batch, **where)


@pytest.mark.parametrize("made", ["CreateTime"], indirect=True)
def test_within_a_partition_no_slab_overtakes_another(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "AIOKafkaProducer", Unhurried)
    monkeypatch.setattr(producer, "BATCH_BYTES", 16 * 1024)
    topics = describe_topics(made.kafka, made.topics)
    plan = Plan(events=3 * SLAB_RECORDS, keeps_times=True)
    traffic = Traffic(plan, made.rules.to_rules(), time.time_ns() // 1_000_000)
    target = producer.Target.of(made.kafka, made.topics, topics)
    asyncio.run(producer.emulate_into(target, traffic, asyncio.Event(), lambda _truth: None))
    for records in asyncio.run(read_all(made)).values():
        stamps = [record.timestamp for record in records]
        assert stamps == sorted(stamps)


def test_ctrl_c_ends_an_endless_run_cleanly_and_the_report_is_what_kafka_holds(settings: Settings) -> None:
    create_topics(*settings.sources)
    try:
        running = command(settings, "--rate", "2000", "--json")
        until = time.monotonic() + 180
        while not (sent := ends(settings)) and time.monotonic() < until:
            assert running.poll() is None
        assert sent
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=180)
        assert (running.returncode, err) == (0, "")
        assert json.loads(out)["records"] == ends(settings)
    finally:
        with open_admin(settings.kafka) as admin:
            admin.delete_topics([name for name in admin.list_topics() if name.startswith(settings.topics.topic_prefix)])


def test_without_topics_the_remedy_is_named(settings: Settings) -> None:
    running = command(settings, "--events", "10")
    _, err = running.communicate(timeout=180)
    assert running.returncode == 2
    assert "pintally migrate" in err
    assert "Traceback" not in err


def test_two_runs_with_one_seed_are_not_taken_for_duplicates(settings: Settings) -> None:
    create_topics(*settings.sources)
    try:
        for _ in range(2):
            emulate(settings, "--events", "500", "--duplicates", "0", "--late", "0", "--broken", "0")
        records = [record for records in asyncio.run(read_all(settings)).values() for record in records]
        assert len({json.loads(record.value)["event_id"] for record in records}) == 1_000
    finally:
        with open_admin(settings.kafka) as admin:
            admin.delete_topics([name for name in admin.list_topics() if name.startswith(settings.topics.topic_prefix)])
