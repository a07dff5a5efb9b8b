"""Records of producers that are not ours: counted if they keep the contract, in the dead letters if they do not."""

import itertools
import json
import time
import uuid
from pathlib import Path

from kafka import KafkaProducer
from kafka.partitioner import Partitioner

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.e2e.running import verify, wait_caught_up, workers
from tests.e2e.topic_records import read_topic
from tests.support.all_cells import all_cells

PIN = 2**64 - 1
RUBBISH = {
    b"": "value",
    b"{": "value",
    b"\xff\xfe": "value",
    b"[1, 2]": "value",
    b'{"action": "save"}': "event_id",
    b"[" * 100_000: "value",
    b"x" * 1_000_000: "value",
}


class InTurn(Partitioner):  # type: ignore[misc]  # kafka-python has no types
    """One partition after the other, whatever the key."""

    turns = itertools.count()

    def partition(self, *_: object) -> int:
        return next(self.turns) % 2


def event(action: Action, pin: int = PIN) -> bytes:
    now = time.time_ns() // 1_000_000
    fields = {"event_id": str(uuid.uuid4()), "action": action.label, "pin_id": str(pin), "user_id": "7"}
    return json.dumps({**fields, "occurred_at": now, "unknown": [1, {"a": None}]}).encode()


def test_records_of_another_producer_with_another_partitioner_are_counted(stack: Settings, tmp_path: Path) -> None:
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers, partitioner=InTurn())
    with workers(stack, tmp_path) as start:
        start()
        for action in Action:
            for _ in range(10 * action):
                producer.send(action.topic(stack.topics.topic_prefix), event(action), key=b"anything")
        producer.close()
        wait_caught_up(stack)
    verify(stack)
    with Connection(stack.clickhouse, 30) as connection:
        rows = connection.rows(
            "SELECT pin_id, sum(saves), sum(clicks), sum(closeups) FROM pin_engagement_1h GROUP BY 1"
        )
    assert rows == [(PIN, 10, 20, 30)]


def test_rubbish_is_in_the_dead_letters_with_its_reason_and_counting_goes_on(stack: Settings, tmp_path: Path) -> None:
    topic = Action.SAVE.topic(stack.topics.topic_prefix)
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    with workers(stack, tmp_path) as start:
        worker = start()
        for value in RUBBISH:
            producer.send(topic, value, key=b"k", headers=[("trace", b"\x00\x01")])
        producer.send(topic, None, key=b"tombstone")
        producer.send(topic, event(Action.CLICK))
        producer.send(topic, event(Action.SAVE))
        producer.close()
        wait_caught_up(stack)
        assert worker.alive
    verify(stack)
    with Connection(stack.clickhouse, 30) as connection:
        letters = dict(connection.rows("SELECT ifNull(value, '-'), reason FROM dead_letters FINAL"))
    assert len(letters) == len(RUBBISH) + 2
    for value, field in RUBBISH.items():
        shown = value.decode(errors="replace")
        assert any(
            reason.startswith(field) for text, reason in letters.items() if text == shown or value == b"\xff\xfe"
        )
    assert int(all_cells(ClickHouseSink(stack.clickhouse)).events.sum()) == 1


def test_dead_letters_keep_bytes_headers_and_origin_on_their_topic(stack: Settings, tmp_path: Path) -> None:
    topic = Action.SAVE.topic(stack.topics.topic_prefix)
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    producer.send(topic, b"not json", key=b"k", headers=[("trace", b"\x00\x01")], partition=1).get(30)
    producer.close()
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    letters = read_topic(stack, dead_letter_topic(topic))
    assert [(letter.key, letter.value) for letter in letters] == [(b"k", b"not json")]
    headers = dict(letters[0].headers)
    assert headers["trace"] == b"\x00\x01"
    assert (headers["__streams.errors.topic"], headers["__streams.errors.partition"]) == (topic.encode(), b"1")
    assert headers["__streams.errors.offset"] == b"0"
