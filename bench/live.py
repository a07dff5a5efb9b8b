"""Events made in advance and sent when they are due, so that sending costs the machine as little as can be.

All values of an action have the same length (about 165 bytes): numpy writes them digit by digit, 20 times faster than
one f-string an event. Values of another shape than `own` are written by shapes.py, more slowly. Pins have 19 digits;
the n-th of `pins` is drawn with probability about 1/n, or one of them gets the share `hot` of all events. Kafka's
partition follows from the pin.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from bench.shapes import OWN, Events, Shape
from pintally.schemas.actions import Action
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.settings import Settings
from pintally.tools.emulate.values import DASHES, HEX_COLUMNS, UUID_LENGTH, event_ids

BATCH_BYTES = 1 << 20
STEP_SECONDS = 0.05  # records of one partition wait so long for company in their batch: chunks near the head are small
SHARES = ((Action.CLOSEUP, 0.7), (Action.CLICK, 0.2), (Action.SAVE, 0.1))
EQUAL = tuple((action, 1 / len(Action)) for action in Action)
TEMPLATE = (
    '{{"event_id":"{id}","action":"{action}","pin_id":"{pin}","user_id":"{user}","occurred_at":{at}'
    ',"surface":"{surface}","platform":"{platform}"}}'
)
PIN_DIGITS, USER_DIGITS, TIME_DIGITS = 19, 8, 13
# Names of one length, each half as frequent as the one before.
SURFACES = ("home", "find", "more", "desk", "face", "note", "mail", "wall", "tile")
PLATFORMS = ("ios", "and", "web", "mac")
FIRST_PIN = 10 ** (PIN_DIGITS - 1)
PROBE_PINS = 9 * FIRST_PIN  # above all drawn ones
ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Mix:
    """Which pins and actions get the events."""

    pins: int = 1_000_000
    hot: float = 0.0  # share of all events that one pin gets on top
    shares: tuple[tuple[Action, float], ...] = SHARES

    def draw(self, rng: Generator, count: int) -> NDArray[np.uint64]:
        """The pins of `count` events."""
        numbers = np.exp(rng.random(count) * np.log(self.pins)).astype(np.uint64)
        numbers[rng.random(count) < self.hot] = 0
        drawn: NDArray[np.uint64] = np.uint64(FIRST_PIN) + numbers * ODD % np.uint64(7 * FIRST_PIN)
        return drawn


def shaped(
    rng: Generator, action: Action, pins: NDArray[np.uint64], occurred_ms: NDArray[np.int64], shape: Shape
) -> tuple[list[bytes], list[bytes]]:
    """Keys and values of events in any shape, one a pin."""
    if shape.write is OWN.write:
        return values(rng, action, pins, occurred_ms)
    count, texts = len(pins), [str(pin) for pin in pins.tolist()]
    users = rng.integers(10 ** (USER_DIGITS - 1), 10**USER_DIGITS, count).tolist()
    labels = ([names[place] for place in halving(rng, count, names)] for names in (SURFACES, PLATFORMS))
    surfaces, platforms = (list[str | None](column) for column in labels)
    events = Events(
        event_ids(rng, count), [action.label] * count, texts, users, occurred_ms.tolist(), surfaces, platforms
    )
    return [text.encode() for text in texts], shape.write(events, rng)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, ready to be sent."""

    topic: str
    partition: int
    due: float  # seconds after the start
    builder: Any
    records: int
    probe: int | None  # number of the probe among them


@dataclass
class Sent:
    """What has been sent so far."""

    records: int = 0
    bytes: int = 0  # of batches as they go over the wire
    latest: float = 0.0  # seconds the most belated batch was behind its time
    probes: dict[int, float] | None = None  # number -> monotonic time at which it was handed to the producer


def values(
    rng: Generator, action: Action, pins: NDArray[np.uint64], occurred_ms: NDArray[np.int64]
) -> tuple[list[bytes], list[bytes]]:
    """Keys and values of events, one a pin."""
    count, label = len(pins), action.label
    fields = {
        "id": "i" * UUID_LENGTH, "pin": "p" * PIN_DIGITS, "user": "u" * USER_DIGITS, "at": "a" * TIME_DIGITS,
        "surface": "s" * len(SURFACES[0]), "platform": "t" * len(PLATFORMS[0]),
    }  # fmt: skip
    template = TEMPLATE.format(action=label, **fields)
    text = np.tile(np.frombuffer(template.encode(), np.uint8), (count, 1))
    raw = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    id_at = template.index(fields["id"])
    text[:, [id_at + dash for dash in DASHES]] = ord("-")
    text[:, [id_at + column for column in HEX_COLUMNS]] = np.frombuffer(raw.tobytes().hex().encode(), np.uint8).reshape(
        count, 32
    )
    key = _digits(pins, PIN_DIGITS)
    users = rng.integers(10 ** (USER_DIGITS - 1), 10**USER_DIGITS, count).astype(np.uint64)
    for name, digits in (
        ("pin", key),
        ("user", _digits(users, USER_DIGITS)),
        ("at", _digits(occurred_ms.astype(np.uint64), TIME_DIGITS)),
        ("surface", _letters(SURFACES)[halving(rng, count, SURFACES)]),
        ("platform", _letters(PLATFORMS)[halving(rng, count, PLATFORMS)]),
    ):
        start = template.index(fields[name])
        text[:, start : start + digits.shape[1]] = digits
    return _rows(key), _rows(text)


def halving(rng: Generator, count: int, names: Sequence[str]) -> NDArray[np.int64]:
    """Places of names: half of the events get the first, a quarter the second, and so on; the last ones are equal."""
    places: NDArray[np.int64] = np.minimum(rng.geometric(0.5, count), len(names)) - 1
    return places


def _letters(names: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("".join(names).encode(), np.uint8).reshape(len(names), -1)


def _digits(numbers: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    powers = np.uint64(10) ** np.arange(width - 1, -1, -1, dtype=np.uint64)
    return (numbers[:, None] // powers % np.uint64(10) + np.uint64(ord("0"))).astype(np.uint8)


def _rows(text: NDArray[np.uint8]) -> list[bytes]:
    whole, width = text.tobytes(), text.shape[1]
    return [whole[at : at + width] for at in range(0, len(whole), width)]


class Producer:
    """Makes batches and sends them on time."""

    def __init__(self, settings: Settings, shape: Shape = OWN) -> None:
        self.settings = settings
        self._shape = shape
        self._producer = AIOKafkaProducer(
            **kafka_options(settings.kafka), enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=0,
            max_request_size=4 * BATCH_BYTES,
        )  # fmt: skip

    async def __aenter__(self) -> "Producer":
        await self._producer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._producer.stop()

    def steady(
        self, mix: Mix, rate: float, seconds: float, start_ms: int, seed: int = 1, probe_every: float = 0.0
    ) -> list[Batch]:
        """`rate` records a second for `seconds`, each occurring when it is due, `start_ms` being the start.

        With `probe_every` (seconds) there is a record of a pin of its own, PROBE_PINS + its number, so often.
        """
        rng = default_rng([seed, start_ms])
        steps = int(seconds / STEP_SECONDS)
        batches: list[Batch] = []
        probes = 0
        for step in range(steps):
            count = int(rate * STEP_SECONDS * (step + 1)) - int(rate * STEP_SECONDS * step)
            due = (step + 1) * STEP_SECONDS  # when the last of its events has happened
            occurred = start_ms + np.linspace(due - STEP_SECONDS, due, count, endpoint=False) * 1000
            probe = None
            if probe_every and due >= (probes + 1) * probe_every:
                probe, probes = probes, probes + 1
            batches += self._step(rng, mix, occurred.astype(np.int64), due, probe)
        return batches

    def at_once(self, mix: Mix, records: int, end_ms: int, span_ms: int, seed: int = 1) -> Iterator[list[Batch]]:
        """`records` in all, occurring in order within `span_ms` before `end_ms`; slab by slab, due at once."""
        rng, slab = default_rng([seed, end_ms]), 200_000
        for start in range(0, records, slab):
            numbers = np.arange(start, min(records, start + slab))
            occurred = end_ms - span_ms + numbers * (span_ms / records)
            yield self._step(rng, mix, occurred.astype(np.int64), 0.0, None)

    def _step(
        self, rng: Generator, mix: Mix, occurred: NDArray[np.int64], due: float, probe: int | None
    ) -> list[Batch]:
        batches: list[Batch] = []
        kinds, shares = zip(*mix.shares, strict=True)
        action = rng.choice(np.array(kinds), len(occurred), p=shares)
        pins = mix.draw(rng, len(occurred))
        partition = (pins >> np.uint64(7)) % np.uint64(self.settings.topics.partitions)
        for kind, topic in self.settings.topics.names.items():
            of_kind = np.flatnonzero(action == kind)
            keys, texts = shaped(rng, kind, pins[of_kind], occurred[of_kind], self._shape)
            places = partition[of_kind]
            for number in range(self.settings.topics.partitions):
                chosen = np.flatnonzero(places == number).tolist()
                probed = (
                    probe if kind == Action.SAVE and number == (probe or 0) % self.settings.topics.partitions else None
                )
                pairs = [(keys[at], texts[at]) for at in chosen]
                if probed is not None:
                    pin = np.array([PROBE_PINS + probed], np.uint64)
                    key, text = shaped(rng, kind, pin, occurred[-1:], self._shape)
                    pairs.append((key[0], text[0]))
                batches += self._fill(topic, number, due, pairs, probed)
        return batches

    def _fill(
        self, topic: str, partition: int, due: float, pairs: Sequence[tuple[bytes, bytes]], probe: int | None
    ) -> Iterator[Batch]:
        """One batch, or more if one is full; the probe is in the last."""
        builder, records = self._producer.create_batch(), 0
        for key, value in pairs:
            full = records == self._shape.batch_records
            if full or builder.append(timestamp=None, key=key, value=value) is None:
                yield Batch(topic, partition, due, builder, records, None)
                builder, records = self._producer.create_batch(), 0
                builder.append(timestamp=None, key=key, value=value)
            records += 1
        if records:
            yield Batch(topic, partition, due, builder, records, probe)

    async def send(self, batches: Sequence[Batch], started: float, sent: Sent) -> None:
        """Send each when it is due, `started` being the start (monotonic), and wait until all are acknowledged."""
        by_place: dict[tuple[str, int], list[Batch]] = {}
        for batch in batches:
            by_place.setdefault((batch.topic, batch.partition), []).append(batch)
        await asyncio.gather(*(self._send_place(of_place, started, sent) for of_place in by_place.values()))

    async def _send_place(self, batches: Sequence[Batch], started: float, sent: Sent) -> None:
        acknowledged = []
        for batch in batches:
            if (wait := started + batch.due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            handed, size = time.monotonic(), batch.builder.size()
            acknowledged.append(await self._producer.send_batch(batch.builder, batch.topic, partition=batch.partition))
            sent.records += batch.records
            sent.bytes += size
            sent.latest = max(sent.latest, handed - started - batch.due) if batch.due else 0.0
            if batch.probe is not None and sent.probes is not None:
                sent.probes[batch.probe] = handed
        await asyncio.gather(*acknowledged)
