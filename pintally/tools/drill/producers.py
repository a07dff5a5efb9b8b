"""Producers that are not ours, or not well: each sends a few records and says what must become of them."""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.partitioner import murmur2

from pintally.schemas.actions import Action
from pintally.schemas.label_column import UNKNOWN
from pintally.schemas.rules import Rules
from pintally.streams.settings import RulesSettings
from pintally.tools.drill.patience import producing
from pintally.tools.drill.truth import Cell
from pintally.tools.emulate.broken import KINDS, Good
from pintally.tools.emulate.plan import Plan, margins
from pintally.tools.emulate.producer import PREFIX

MINUTE_MS = 60_000
Place = tuple[int, int]  # partition, offset
ODD_LABELS = (
    None,
    "other",
    "unknown",
    "Home",
    " home",
    "'; DROP",
    "\0",
    "\t\n\\",
    "é",
    "e\u0301",
    "\u202ehome",
    "🧷" * 64,
)


@dataclass(slots=True)
class Sent:
    """What was sent to one topic, and where it lies."""

    topic: str
    records: int = 0
    places: list[Place] = field(default_factory=list)
    cells: Counter[Cell] = field(default_factory=Counter)  # what must be counted of it
    prefix: bytes = b""  # before the JSON of each value (E12)

    @classmethod
    def to(cls, topic: str, rules: RulesSettings) -> "Sent":
        """Nothing yet, to a topic by whose rules values are framed or plain."""
        return cls(topic, prefix=PREFIX if rules.in_topic(topic).prefix_bytes else b"")

    def ends(self) -> dict[int, int]:
        """Partition -> the position that covers all of it."""
        ends: dict[int, int] = {}
        for partition, offset in self.places:
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return ends


@dataclass(frozen=True, slots=True)
class Event:
    """A valid event, ready to be sent."""

    action: Action
    pin: int
    occurred_at: int
    surface: str | None = None
    platform: str | None = None
    arms: Mapping[str, str] = field(default_factory=dict)  # by experiment

    def value(self) -> bytes:
        """Its JSON, with an id of its own."""
        labels = {"surface": self.surface, "platform": self.platform}
        return json.dumps(
            {
                "event_id": str(uuid.uuid4()),
                "action": self.action.label,
                "pin_id": str(self.pin),
                "user_id": "7",
                "occurred_at": self.occurred_at,
            }
            | {name: label for name, label in labels.items() if label is not None}
            | ({"experiments": self.arms} if self.arms else {})
        ).encode()

    @property
    def cell(self) -> Cell:
        """Where it counts."""
        minute = self.occurred_at // MINUTE_MS * 60
        return Cell(int(self.action), minute, self.pin, self.surface or UNKNOWN, self.platform or UNKNOWN)


def now_ms() -> int:
    """The wall clock in ms."""
    return time.time_ns() // 1_000_000


async def send_events(
    kafka: str,
    sent: Sent,
    action: Action,
    pin: int,
    count: int,
    partitions: Sequence[int],
    repeat: int = 1,
    labels: Sequence[str | None] = (None,),
) -> None:
    """`count` events in turn to `partitions`, whatever the key says, and with one of the labels after the other.

    Each is sent `repeat` times, one after the other. Its label also names an experiment and the arm.
    """
    async with producing(kafka, enable_idempotence=True, acks="all") as producer:
        answers = []
        for number in range(count):
            label = labels[number % len(labels)]
            event = Event(action, pin, now_ms(), label, label, {label: label} if label else {})
            partition, value = partitions[number % len(partitions)], sent.prefix + event.value()
            answers += [
                await producer.send(sent.topic, value, str(pin).encode(), partition=partition) for _ in range(repeat)
            ]
            sent.cells[event.cell] += 1
        _acknowledged(sent, await asyncio.gather(*answers))


async def send_late(kafka: str, sent: Sent, action: Action, count: int, partitions: int, rules: Rules) -> None:
    """Events whose minute closed long ago."""
    async with producing(kafka, enable_idempotence=True, acks="all") as producer:
        answers = []
        for number in range(count):
            event = Event(action, number, now_ms() - rules.allowed_lateness_ms - 5 * MINUTE_MS)
            answers.append(await producer.send(sent.topic, sent.prefix + event.value(), partition=number % partitions))
        _acknowledged(sent, await asyncio.gather(*answers))


async def send_hostile(kafka: str, sent: Sent, action: Action, partitions: int, rules: Rules, seed: int) -> None:
    """Every kind of broken record, and what somebody might send to do harm; none of it may be counted."""
    rng = random.Random(seed)
    limits = margins(Plan(None, 100.0), rules)
    values: list[tuple[bytes | None, bytes | None]] = []
    for kind in KINDS.values():
        event = json.loads(Event(action, rng.getrandbits(60), now_ms()).value())
        made = kind(Good(event, now_ms(), limits))
        values.append((b"k", made if made is None else sent.prefix + made))
    values += [
        (None, None),
        (b"\xff\x00\xfe", b"\x00" * 100),
        (b"k", b"[" * 100_000),
        (b"k", b'{"a":' * 50_000),
        (b"k", b"9" * 200_000),
        (b"k", b"\xff" * 900_000),
        (b"k", b'{"event_id":"' + b"a" * 500_000),
    ]
    async with producing(kafka, enable_idempotence=True, acks="all", max_request_size=2_000_000) as producer:
        answers = [
            await producer.send(
                sent.topic, value, key or (b"" if value is None else None), partition=number % partitions,
                headers=[("trace", b"\x00\xff"), ("", b"")],
            )
            for number, (key, value) in enumerate(values)
        ]  # fmt: skip
        _acknowledged(sent, await asyncio.gather(*answers))


async def send_broken(kafka: str, sent: Sent, partition: int, count: int) -> None:
    """Records that are no events, to one partition; none of it may be counted."""
    async with producing(kafka, enable_idempotence=True, acks="all") as producer:
        answers = [await producer.send(sent.topic, b"%d" % number, partition=partition) for number in range(count)]
        _acknowledged(sent, await asyncio.gather(*answers))


async def send_transactions(
    kafka: str, sent: Sent, action: Action, pins: tuple[int, int], rounds: int, partitions: int
) -> int:
    """Transactions of 50 records, by turns committed and aborted; how many records were aborted.

    The first pin's are committed and must be counted, the second pin's are aborted.
    """
    aborted = 0
    async with producing(kafka, transactional_id=f"drill-{uuid.uuid4()}") as producer:
        for number in range(2 * rounds):
            aborts = number % 2 == 1
            await producer.begin_transaction()
            answers, cells = [], []
            for record in range(50):
                event = Event(action, pins[aborts], now_ms())
                answers.append(
                    await producer.send(sent.topic, sent.prefix + event.value(), partition=record % partitions)
                )
                cells.append(event.cell)
            await producer.flush()
            _acknowledged(sent, await asyncio.gather(*answers))
            if aborts:
                await producer.abort_transaction()
                aborted += len(cells)
            else:
                await producer.commit_transaction()
                sent.cells.update(cells)
    return aborted


def default_partition(key: bytes, partitions: int) -> int:
    """Where Java's default partitioner puts a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def _acknowledged(sent: Sent, answers: Sequence[Any]) -> None:
    sent.records += len(answers)
    sent.places += [(answer.partition, answer.offset) for answer in answers]
