"""Topics that a schema registry frames (E12), on the real engines: beside plain ones, and from some slice on."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.topics import group_members
from pintally.streams.settings import Settings
from tests.e2e.running import pintally, verify, wait_caught_up, wait_for, workers
from tests.e2e.test_dlq import dlq, event, now, pins, produce
from tests.e2e.test_explain import explain
from tests.support.engines import TestEngines, topics_and_tables

PREFIX = b"\0\0\0\2\x9a"
HALF_AN_HOUR_MS = 1_800_000


def letters(settings: Settings) -> dict[bytes | None, str]:
    """Value and reason of every dead letter."""
    with Connection(settings.clickhouse, 30) as connection:
        rows = connection.execute("SELECT value, reason FROM dead_letters FINAL", settings={"strings_as_bytes": True})
    return {value: reason.decode() for value, reason in rows}


def test_a_framed_topic_is_counted_beside_plain_ones_and_what_is_framed_wrongly_is_a_dead_letter(
    stack: Settings, tmp_path: Path
) -> None:
    settings = stack.changed(framed_topics="save")
    own, plain, cut, framed_click = str(uuid.uuid4()), event("2"), (PREFIX + event("3"))[:4], PREFIX + event("4")
    produce(settings, [PREFIX + event("1", event_id=own), plain, cut, None, PREFIX + event("x")])
    produce(settings, [event("5", action="click"), framed_click.replace(b'"save"', b'"click"')], Action.CLICK)
    with workers(settings, tmp_path) as start:
        start()
        wait_caught_up(settings)
        assert pins(settings) == {1: 1, 5: 0}
        held = letters(settings)
        assert set(held) == {plain, cut, None, *(value for value in held if value and value.startswith(PREFIX))}
        assert len(held) == 5
        for wrong in (plain, cut):
            assert "take save out of PINTALLY_FRAMED_TOPICS" in held[wrong]
        (click,) = [reason for value, reason in held.items() if value and b'"click"' in value]
        assert "PINTALLY_FRAMED_TOPICS" in click
        (told,) = explain(settings, own)["records"]
        assert (told["outcome"], told["cell"]["pin"]) == ("counted", 1)
        assert len(dlq(settings, "list", "--pin", "x")) == 1, "also behind a prefix"

        dlq(settings, "replay", "--yes", code=1)
        assert pins(settings) == {1: 1, 5: 0}, "as they are, all stay invalid"
        topic = settings.topics.names[Action.SAVE]
        assert dlq(settings, "replay", "--origin", f"{topic}[0]@4", "--set", 'pin_id="6"', "--yes")["sent"] == 1
        done = dlq(settings, "replay", "--reframe", "--yes", code=1)
        assert (done["sent"], done["still_invalid"]) == (2, 2), "what was cut off, and a tombstone, are no events"
        wait_caught_up(settings)
        assert pins(settings) == {1: 1, 2: 1, 4: 0, 5: 0, 6: 1}
    sent = pintally(settings, "emulate", "--events", "3000", "--pins", "50", "--broken", "0.01", "--json")
    assert sent.returncode == 0, sent.stderr
    with workers(settings, tmp_path) as start:
        start("two")
        wait_caught_up(settings)
    found = verify(settings)
    assert sum(source["invalid"] for source in found["sources"]) == 5 + json.loads(sent.stdout)["invalid"]


@pytest.fixture
def by_producer(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """A stack whose topics keep the producers' timestamps, so that a slice ends without waiting."""
    made = settings.changed(topic_timestamps="CreateTime")
    with topics_and_tables(made, engines.addresses):
        yield made


def send(settings: Settings, pin: str, at_ms: int, prefix: bytes) -> None:
    """A save, with the Kafka timestamp that its event happened at."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")
    topic = settings.topics.names[Action.SAVE]
    producer.send(topic, prefix + event(pin, at_ms), key=b"k", partition=0, timestamp_ms=at_ms)
    producer.close()


def test_a_topic_that_is_framed_from_some_slice_on_counts_both_halves(by_producer: Settings, tmp_path: Path) -> None:
    plain, framed = by_producer, by_producer.changed(framed_topics="save")
    before, after = now() - HALF_AN_HOUR_MS, now()
    with workers(plain, tmp_path) as start:
        worker = start()
        for pin in ("1", "2"):
            send(plain, pin, before, b"")
        send(plain, "3", after, PREFIX)  # the first of another producer: by these rules a dead letter
        wait_caught_up(plain)
        assert (pins(plain), len(letters(plain))) == ({1: 1, 2: 1}, 1)
        assert worker.stop() == 0
    wait_for(lambda: not group_members(framed.kafka), 30, "an empty group")  # Kafka waits for a static one
    refused = pintally(framed, "dlq", "replay", "--yes")
    assert refused.returncode == 2
    assert "prefix_bytes=0" in refused.stderr
    applied = pintally(framed, "rules", "apply", "--yes")
    assert applied.returncode == 0, applied.stderr
    assert "prefix_bytes: 0 -> 5" in applied.stdout
    with workers(framed, tmp_path) as start:
        start("two")
        send(framed, "4", after, PREFIX)
        send(framed, "5", after, b"")
        wait_caught_up(framed)
    assert (pins(framed), len(letters(framed))) == ({1: 1, 2: 1, 3: 1, 4: 1}, 1)
    assert pintally(framed, "repair", "--all").returncode == 0
    assert pins(framed) == {1: 1, 2: 1, 3: 1, 4: 1}
    verify(framed)
    shown = json.loads(pintally(framed, "rules", "show", "--json").stdout)
    assert (shown["framed"], shown["differs"]) == (["save"], False)
    (source,) = [each for each in shown["sources"] if each["source"] == f"{framed.topics.names[Action.SAVE]}[0]"]
    assert [epoch["rules"]["prefix_bytes"] for epoch in source["epochs"]] == [0, 5]
