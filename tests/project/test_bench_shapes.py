"""Traffic of every shape: valid, the same events in each, and written as its name says."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.memory_records import MemoryRecords

from bench.fetches import make_fetches
from bench.log import drop_topics, make_log, read_back
from bench.shapes import EXPERIMENTS, SHAPES, Shape, UnknownShape, named
from bench.work import Work
from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from pintally.schemas.events import Event, validate
from pintally.streams.settings import Settings

START = 1_700_000_040_000
EVENTS = 1_500
KNOWN = set(Event.model_fields)
ONE_OF_EACH = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def values(shape: Shape | str, seed: int = 1) -> list[bytes]:
    made = SHAPES[shape] if isinstance(shape, str) else shape
    return next(Work(EVENTS, START, seed, different_pins=500, shape=made).slabs()).values


def action(value: bytes) -> Action:
    label = json.loads(value)["action"]
    return next(each for each in Action if each.label == label)


def content(shape: str) -> list[dict[str, Any]]:
    return [json.loads(value) for value in values(shape)]


@ONE_OF_EACH
def test_every_value_is_valid_and_says_the_same_event_as_in_the_own_shape(shape: Shape) -> None:
    read = [validate(value, action(value)).model_dump(exclude={"experiments"}) for value in values(shape)]
    assert read == [validate(value, action(value)).model_dump(exclude={"experiments"}) for value in values("own")]
    assert len({event["event_id"] for event in read}) == EVENTS


@ONE_OF_EACH
def test_the_worker_decodes_every_value_as_the_models_do(shape: Shape) -> None:
    for kind in Action:
        texts = [value for value in values(shape) if action(value) == kind]
        events = [validate(text, kind) for text in texts]
        decoded = decode(Values.of(list(texts)), kind)
        assert decoded.valid.all()
        assert decoded.pin_id.tolist() == [event.pin_id for event in events]
        assert decoded.occurred_at.tolist() == [event.occurred_at for event in events]


@ONE_OF_EACH
def test_a_seed_gives_the_same_bytes(shape: Shape) -> None:
    assert values(shape) == values(shape)
    assert values(shape, seed=2) != values(shape)


def test_own_is_compact_and_spaced_is_as_python_writes_by_default() -> None:
    assert values("own") == [json.dumps(event, separators=(",", ":")).encode() for event in content("own")]
    assert values("spaced") == [json.dumps(event).encode() for event in content("own")]


def test_names_are_sorted_or_in_any_order() -> None:
    assert all(list(event) == sorted(event) for event in content("sorted"))
    assert len({tuple(event) for event in content("shuffled")}) > EVENTS / 3


def test_extra_and_large_events_have_fields_that_are_ignored() -> None:
    for event in content("extra"):
        further = [event[name] for name in event.keys() - KNOWN]
        assert [isinstance(each, dict) for each in further].count(True) == 1
        assert len(further) == 4
    assert all(event.keys() - KNOWN for event in content("large"))
    assert 950 < np.mean([len(value) for value in values("large")]) < 1100


def test_an_event_names_six_of_sixty_experiments_and_all_are_named() -> None:
    named_by = [event["experiments"] for event in content("arms")]
    assert {len(each) for each in named_by} == {6}
    assert len({name for each in named_by for name in each}) == EXPERIMENTS


def test_shapes_are_chosen_by_name_each_once_and_another_name_is_refused() -> None:
    assert [shape.name for shape in named("arms, own,arms")] == ["arms", "own"]
    with pytest.raises(UnknownShape, match="'owm': give some of own,sorted"):
        named("own,owm")


def test_batches_of_a_fetch_hold_as_many_records_as_the_shape_says() -> None:
    def most(shape: str) -> int:
        fetches = make_fetches(3_000, batch=100, fetch_bytes=1 << 16, shape=SHAPES[shape])
        return max(len(list(batch)) for _, _, data, _ in fetches for batch in batches(data))

    assert most("small-batches") == 5
    assert most("own") == 100


def test_a_log_of_small_batches_is_sent_in_batches_of_five_and_its_order_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = [], AIOKafkaProducer.send_batch

    async def send_batch(self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int) -> Any:
        sent.append(batch.record_count())
        return await send(self, batch, topic, partition=partition)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", send_batch)
    work = Work(EVENTS, START, different_pins=500, shape=SHAPES["small-batches"])
    topic = f"bench-{uuid4().hex}"
    try:
        log = make_log(settings, work, topic, EVENTS)
        read: list[bytes] = []
        asyncio.run(read_back(settings, topic, read.extend))
    finally:
        drop_topics(settings, topic)
    assert max(sent) == 5
    assert sum(sent) == log.events == EVENTS
    place = {value: number for number, value in enumerate(values("small-batches"))}
    pin = {value: json.loads(value)["pin_id"] for value in read}
    of_pin = [[place[value] for value in read if pin[value] == each] for each in set(pin.values())]
    assert all(numbers == sorted(numbers) for numbers in of_pin)


def batches(data: bytes) -> Iterator[Any]:
    records = MemoryRecords(data)
    while records.has_next():
        yield records.next_batch()
