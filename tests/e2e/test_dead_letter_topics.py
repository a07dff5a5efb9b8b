"""Dead-letter topics that cannot take what they get: large letters are sent smaller, a missing topic is waited for."""

import json
import time
import uuid
from pathlib import Path

from kafka import KafkaProducer

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.e2e.running import verify, wait_caught_up, wait_for, workers
from tests.e2e.topic_records import read_letters
from tests.support.all_cells import all_cells

LIMIT = 20_000  # of a batch; more than the producer puts together, 16,384 bytes
LARGE = b"x" * 30_000


def send(stack: Settings, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.close()


def event(action: str = "save") -> bytes:
    fields = {"event_id": str(uuid.uuid4()), "action": action, "pin_id": "1", "user_id": "7"}
    return json.dumps({**fields, "occurred_at": time.time_ns() // 1_000_000}).encode()


def test_letters_too_large_for_their_topic_arrive_smaller_and_whole_in_the_table(
    stack: Settings, tmp_path: Path
) -> None:
    topic = Action.SAVE.topic(stack.topics.topic_prefix)
    set_topic_configs(stack.kafka, {dead_letter_topic(topic): {"max.message.bytes": str(LIMIT)}})
    producer = KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers)
    for key, value in (
        (b"k", b"small"),
        (b"k", LARGE),
        (LARGE, b"small"),
        (None, LARGE),
        (b"k", event()),
    ):
        producer.send(topic, value, key=key, partition=0)
    producer.close()
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    verify(stack)
    letters = {letter.offset: (letter.key, letter.value) for letter in read_letters(stack, dead_letter_topic(topic))}
    assert letters == {0: (b"k", b"small"), 1: (b"k", None), 2: (b"", None), 3: (b"", None)}
    with Connection(stack.clickhouse, 30) as connection:
        rows = connection.rows("SELECT offset, length(key), length(value) FROM dead_letters FINAL ORDER BY offset")
    assert rows == [(0, 1, 5), (1, 1, 30_000), (2, 30_000, 5), (3, None, 30_000)]


def test_a_dead_letter_topic_that_is_missing_is_named_and_counting_goes_on_once_it_is_there(
    stack: Settings, tmp_path: Path
) -> None:
    """C11: the ledger of the partition waits for the letters, and no other; nothing is dropped, the worker lives."""
    topic, beside = (action.topic(stack.topics.topic_prefix) for action in (Action.SAVE, Action.CLICK))
    with open_admin(stack.kafka) as admin:
        admin.delete_topics([dead_letter_topic(topic)])
        wait_for(lambda: dead_letter_topic(topic) not in admin.list_topics(), 30, "topic deleted")
    send(stack, topic, event(), b"broken")
    with workers(stack, tmp_path) as start:
        worker = start()
        wait_for(lambda: worker.said("writing to dead-letter topics fails"), 60, "a flush fails")
        assert worker.said("UnknownTopicOrPartition")
        send(stack, beside, event("click"))
        sink = ClickHouseSink(stack.clickhouse)
        wait_for(
            lambda: int(all_cells(sink).events.sum()) == 1, 60, "the click is counted, the save beside a letter is not"
        )
        create_topics(*stack.sources)
        wait_caught_up(stack)
        assert worker.alive
    verify(stack)
