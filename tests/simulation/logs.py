"""The log of one source in a simulation: small, and full of what a log may hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded, Experiments
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from pintally.schemas.experiments import EVERY
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEY, UserKeys
from pintally.streams.counting.log import Chunk, Envelope
from tests.support.reference import LogRecord

T0 = 1_700_000_400_000  # ms, a multiple of ten minutes
MINUTE, HOUR = 60_000, 3_600_000
LATENESS = (0, MINUTE, 20 * MINUTE)
PINS = (1, 1, 1, 2, 2**64 - 1)
USERS = (1, 1, 1, 2, 2**64 - 1)
NAMED = 2  # labels of a slice that count under their own name: as few, because slices are small
# Of an event: experiments and arms, as JSON.
EXPERIMENTS = (
    "", "{}", '{"feed":"a"}', '{"feed":"b"}', '{"feed":"a","search":"b"}', '{"sear\\u0063h":"a"}', '{"other":"other"}'
)  # fmt: skip
KEYS = UserKeys.of("000102030405060708090a0b0c0d0e0f,ffeeddccbbaa99887766554433221100")
LABELS = ("null", "null", '"search"', '"\\u00e9"', '"home"', '"ho\\u006de"', '"\\"\\\\\\n"', '"other"')  # as JSON

GAPS = (0,) * 14 + (1, 1, 2, 6)  # offsets without a record: aborted transactions, markers
STEPS = (0, 1, 900, 20_000, MINUTE, 4 * MINUTE, 10 * MINUTE, 21 * MINUTE, -1, -30_000, -11 * MINUTE, None, None)
KINDS = ("now",) * 9 + ("before", "late", "late", "skewed", "ancient", "broken", "tombstone")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedValues(Values):
    """The values of a chunk, and what `decoder` made of them when all of the log was decoded at once."""

    decoded: Decoded


def decode_before(values: DecodedValues, *_: object) -> Decoded:
    """Stands for `schemas.decoding.framed.decode_by_rule`: each value is decoded once a log, not once a chunk."""
    return values.decoded


@dataclass(frozen=True)
class SimLog:
    """All records that a source will ever hold; offsets of [start, end) without a record are absent."""

    source: Source
    action: Action
    records: tuple[LogRecord, ...]
    start: int
    end: int
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: Values
    decoded: Decoded

    def chunk(self, start: int, end: int) -> Chunk:
        """The records of [start, end), as the transport would deliver them."""
        first, last = self.offsets.searchsorted([start, end]).tolist()
        records = self.records[first:last]

        def envelopes(offsets: Sequence[int]) -> dict[int, Envelope]:
            wanted = set(offsets)
            return {r.offset: (r.key, r.headers) for r in records if r.offset in wanted}

        part = self.values[first:last]
        values = DecodedValues(part.text, part.starts, part.lengths, self._decoded(first, last))
        offsets, timestamps = self.offsets[first:last], self.timestamps[first:last]
        return Chunk(self.source.topic, self.source.partition, start, end, offsets, timestamps, values, envelopes)

    def _decoded(self, first: int, last: int) -> Decoded:
        at, whole = slice(first, last), self.decoded
        reasons = {i - first: reason for i, reason in whole.reasons.items() if first <= i < last}
        return replace(
            Decoded.blank(last - first),
            valid=whole.valid[at],
            pin_id=whole.pin_id[at],
            user_id=whole.user_id[at],
            surface=whole.surface[at],
            platform=whole.platform[at],
            labels=whole.labels,
            occurred_at=whole.occurred_at[at],
            experiments=_part(whole.experiments, first, last),
            event_id=whole.event_id[at],
            reasons=reasons,
        )


def _part(whole: Experiments, first: int, last: int) -> Experiments:
    """Those of some of the events."""
    offsets = whole.offsets[first : last + 1]
    return Experiments(offsets - offsets[0], whole.pairs[offsets[0] : offsets[-1]])


@lru_cache(maxsize=1 << 16)
def event(
    action: Action,
    event_id: int,
    pin: int,
    occurred_at: int,
    user: int = 1,
    surface: str = "null",
    platform: str = "null",
    experiments: str = "",
) -> bytes:
    """A valid event as a producer writes it; labels and experiments are given as JSON."""
    text = '{"event_id":"%s","action":"%s","pin_id":"%d","user_id":"%d","occurred_at":%d,"surface":%s,"platform":%s%s}'
    name, last = UUID(int=event_id << 64 | event_id), experiments and f',"experiments":{experiments}'
    return (text % (name, action.label, pin, user, occurred_at, surface, platform, last)).encode()


def make_rules(rng: Random) -> Rules:
    """Rules so small that a few dozen records meet every border."""
    return Rules(
        allowed_lateness_ms=rng.choice(LATENESS),
        max_clock_skew_ms=rng.choice((5_000, 5 * MINUTE)),
        retention_ms=rng.choice((HOUR, 90 * 24 * HOUR)),
        slice_records=rng.randint(5, 20),
        breakdown=rng.random() < 0.8,
        trusted_cap=rng.choice((0, 1, 2, 5)),
    )


def count_beside(own: Random, rules: Rules) -> Rules:
    """The rules with users or arms counted too, or not."""
    key, asked = own.choice((*(key.id for key in KEYS), NO_KEY)), own.choice(((EVERY,), ("feed",), ()))
    return replace(rules, user_key=key, experiments=asked)


def make_log(
    rng: Random, source: Source, action: Action, rules: Rules, records: int, arms: Random | None = None
) -> SimLog:
    """A log whose records stand at the borders of `rules`, with many duplicates among them. `arms` draws their arms."""
    start = offset = rng.choice((0, 0, 3, 17))
    stream_time, time, made = 0, T0 + rng.choice((0, 9 * MINUTE)), []
    for gap, step, kind in zip(
        rng.choices(GAPS, k=records), rng.choices(STEPS, k=records), rng.choices(KINDS, k=records), strict=True
    ):
        offset += gap
        time += step or 0
        stamp = stream_time if step is None else time
        stream_time = max(stream_time, stamp)
        made.append(_record(rng, offset, -1 if step is None else time, kind, stamp, stream_time, action, rules, arms))
        offset += 1
    end = offset + rng.choice(GAPS)
    offsets, timestamps = (
        np.array(column, np.int64) for column in zip(*((r.offset, r.timestamp) for r in made), strict=True)
    )
    values = Values.of([r.value for r in made])
    return SimLog(source, action, tuple(made), start, end, offsets, timestamps, values, decode(values, action))


def _record(
    rng: Random, offset: int, timestamp: int, kind: str, stamp: int, stream_time: int, action: Action, rules: Rules,
    arms: Random | None,
) -> LogRecord:  # fmt: skip
    if kind in ("broken", "tombstone"):
        return LogRecord(offset, timestamp, b"{}" if kind == "broken" else None, b"k")
    occurred_at = {
        "before": stamp - 2 * MINUTE,
        "late": stream_time - rules.allowed_lateness_ms - MINUTE - rng.choice((-1, 0, 1)),
        "skewed": stamp + rules.max_clock_skew_ms + rng.choice((0, 1)),
        "ancient": stamp - rules.retention_ms - rng.choice((0, 1)),
    }.get(kind, stamp)
    event_id = rng.randint(1, 8) if rng.random() < 0.5 else 1000 + offset
    who = rng.choice(USERS), rng.choice(LABELS), rng.choice(LABELS)
    experiments = arms.choice(EXPERIMENTS) if arms else ""
    value = event(action, event_id, rng.choice(PINS), max(0, occurred_at), *who, experiments)
    return LogRecord(offset, timestamp, value, b"k%d" % offset, (("h", None),))
