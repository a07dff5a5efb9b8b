"""Features that real workers sealed: answers given online are as of their moments later, and what the log says."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaProducer

from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import read_cut
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.settings import Settings
from tests.e2e.running import ASKED_S, verify, wait_caught_up, wait_for, workers
from tests.simulation.logs import event
from tests.sinks.answers import Answer, assert_parity, online
from tests.sinks.parity_world import END, START, Source, make_source
from tests.support.engines import TestEngines
from tests.support.true_features import HOUR, TEN, Event

RECORDS = {Action.SAVE: 1500, Action.CLICK: 2500, Action.CLOSEUP: 4000}  # of each partition
REPLAYED = 300
EVERY = 4  # what is replayed is of one hour in so many: each step seals those again, and 24 hours begin in one of them
BY_PRODUCER = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "300000"}
KILLED, CLICKHOUSE_AWAY, IDLE = 5, 9, range(12, 15)  # steps
IDLE_SOURCE = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Records keep the times that their producer gives them: ten minutes of them are sent at once."""
    return settings.changed(topic_timestamps="CreateTime", seal_seconds=0.3)


class Log:
    """One partition, and what was sent of it."""

    def __init__(self, topic: str, partition: int, source: Source) -> None:
        self.topic, self.partition, self.source = topic, partition, source
        self.sent = 0

    def send(self, producer: KafkaProducer, until: int) -> None:
        """All records up to a moment, by their Kafka timestamps."""
        source, end = self.source, int(np.searchsorted(self.source.stream_time, until))
        action = Action(source.action)
        for record in range(self.sent, end):
            value = event(
                action, source.number << 32 | record, int(source.pins[record]), int(source.happened[record]) * 1000
            )
            stamp = int(source.stamps[record]) * 1000
            producer.send(self.topic, value, key=b"k", partition=self.partition, timestamp_ms=stamp)
        self.sent = end


def logs(settings: Settings) -> Iterator[Log]:
    chance, number = np.random.default_rng(11), 0
    for action, records in RECORDS.items():
        topic = settings.topics.names[action]
        for name, many, is_replay in ((topic, records, False), (replay_topic(topic), REPLAYED, True)):
            for partition in range(1 if is_replay else settings.topics.partitions):
                number += 1
                source = make_source(chance, number, action, many, is_replay=is_replay, in_each_bucket=True)
                if is_replay:
                    source.happened -= source.happened // HOUR % EVERY * HOUR
                    source.__post_init__()
                yield Log(name, partition, source)


def of_one_user(source: Source, cap: int) -> Iterator[Event]:
    """What the log says: of a pin the first events of a slice are trusted, as all of them are of one user (C30)."""
    seen: Counter[tuple[int, int]] = Counter()
    for each in source.events():
        seen[each.arrived_at, each.pin] += 1
        yield replace(each, untrusted=int(seen[each.arrived_at, each.pin] > cap))


def is_published(settings: Settings, cut: int) -> bool:
    with Connection(settings.clickhouse, 30) as connection:
        return read_cut(connection).moment >= cut


@pytest.mark.timeout(600)
def test_answers_of_features_are_as_of_their_moments_whatever_fails_meanwhile(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines, record_property: Any
) -> None:
    set_topic_configs(stack.kafka, dict.fromkeys(stack.topics.replay_names.values(), BY_PRODUCER))
    parts, answers = list(logs(stack)), list[Answer]()
    with (
        closing(KafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers, linger_ms=20)) as producer,
        workers(stack, tmp_path) as start,
    ):
        running = [start("one"), start("two")]
        for worker in running:
            worker.wait_ready()
        for step, moment in enumerate(range(START, END, TEN)):
            if step == CLICKHOUSE_AWAY:
                restartable_engines.clickhouse.kill()
            for part in parts:
                if step not in IDLE or part is not parts[IDLE_SOURCE]:
                    part.send(producer, moment + TEN)
            producer.flush()
            if step == KILLED:
                running[0].kill()
                running[0] = start("one")
            if step == CLICKHOUSE_AWAY:
                restartable_engines.clickhouse.start()
                restartable_engines.clickhouse.wait_ready()
            if step and step not in IDLE:
                wait_for(partial(is_published, stack, moment), 60, f"the cut of step {step}", ASKED_S)
            if step:
                answers += online(stack.clickhouse)
        wait_caught_up(stack)
        verify(stack)
    events = (event for part in parts for event in of_one_user(part.source, Rules().trusted_cap))
    record_property("wrong", assert_parity(stack.clickhouse, answers, events))
