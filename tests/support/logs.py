"""Small logs full of edges, for property tests of the fold, and how to cut them into chunks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.decoding.values import Values
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Chunk
from tests.support.reference import LogRecord

ACTION = Action.SAVE
SOURCE = Source("engagement.save.v1", UUID(int=7), 3)
T0 = 1_700_000_400_000  # a multiple of ten minutes
PINS = (0, 1, 2, 2**63, 2**64 - 1)
USERS = (0, 1, 2**64 - 1)
LABELS = (None, None, "home", "search", "ho\\me", '\u00e9"\n\x00', "other", "unknown")  # of surfaces and of platforms
MINUTE, HOUR = 60_000, 3_600_000


@dataclass(frozen=True)
class Log:
    """Records and the log's end; offsets without a record are absent."""

    records: tuple[LogRecord, ...]
    end: int


def event(
    event_id: int, pin: int, occurred_at: int, user: int = 1, surface: str | None = None, platform: str | None = None
) -> bytes:
    return json.dumps(
        {
            "event_id": str(UUID(int=event_id << 64 | event_id)),
            "action": ACTION.label,
            "pin_id": str(pin),
            "user_id": str(user),
            "occurred_at": occurred_at,
            "surface": surface,
            "platform": platform,
        },
        ensure_ascii=user > 0,
    ).encode()


def record(
    offset: int,
    timestamp: int,
    event_id: int = 0,
    pin: int = 1,
    occurred_at: int | None = None,
    user: int = 1,
    surface: str | None = None,
    platform: str | None = None,
) -> LogRecord:
    """A record that is counted unless its numbers say otherwise; ids are fresh unless given."""
    occurred_at = timestamp if occurred_at is None else occurred_at
    value = event(event_id or 1_000_000 + offset, pin, occurred_at, user, surface, platform)
    return LogRecord(offset, timestamp, value, f"k{offset}".encode(), (("h", None),))


def chunk(log: Log, start: int, end: int) -> Chunk:
    """The records of [start, end), as the transport would deliver them."""
    records = [r for r in log.records if start <= r.offset < end]
    by_offset = {r.offset: (r.key, r.headers) for r in records}
    return Chunk(
        topic=SOURCE.topic,
        partition=SOURCE.partition,
        start=start,
        end=end,
        offsets=np.array([r.offset for r in records], np.int64),
        timestamps=np.array([r.timestamp for r in records], np.int64),
        values=Values.of([r.value for r in records]),
        envelopes=lambda offsets: {offset: by_offset[offset] for offset in offsets},
    )


def chunks(log: Log, borders: Sequence[int]) -> list[Chunk]:
    """The log from its first border to its last, cut at all of them."""
    return [chunk(log, start, end) for start, end in pairwise(borders)]


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Rules small enough for every border to be met in a log of a few dozen records."""
    return Rules(
        allowed_lateness_ms=draw(st.sampled_from([0, 1, MINUTE, 2 * MINUTE + 1])),
        max_clock_skew_ms=draw(st.sampled_from([0, 5_000, 5 * MINUTE])),
        retention_ms=draw(st.sampled_from([3 * MINUTE, HOUR, 90 * 24 * HOUR])),
        slice_records=draw(st.integers(1, 12)),
        dedup=draw(st.sampled_from([True, True, True, False])),
        breakdown=draw(st.sampled_from([True, True, True, False])),
        trusted_cap=draw(st.sampled_from([0, 1, 2, 5])),
    )


_GAPS = st.sampled_from([0] * 12 + [1, 2, 5, 11, 12, 13, 25])
_STEPS = st.sampled_from([0, 0, 1, 999, 20_000, MINUTE, 10 * MINUTE, 20 * MINUTE, -1, -30_000, -11 * MINUTE, None])
_IDS = st.integers(0, 9)  # 0: a fresh one
_WHO = st.tuples(st.sampled_from(USERS), st.sampled_from(LABELS), st.sampled_from(LABELS))
_NUDGES = st.sampled_from([0, -1, 1])
_KINDS = st.sampled_from(["now", "now", "now", "skew", "retention", "late", "late", "early", "invalid", "tombstone"])


@st.composite
def logs(draw: st.DrawFn, rules: Rules, max_records: int = 40) -> Log:
    """A log whose records stand at the edges of `rules`: skew, retention, lateness, minutes, blocks, buckets."""
    steps = draw(
        st.lists(
            st.tuples(_GAPS, _STEPS, _KINDS, _NUDGES, _IDS, st.sampled_from(PINS), _WHO, st.booleans()),
            max_size=max_records,
        )
    )
    offset, stream_time, records = draw(st.integers(0, 30)), 0, []
    time = T0 + draw(st.sampled_from([0, -1, 59_999, 9 * MINUTE]))
    for gap, step, kind, nudge, event_id, pin, who, aligned in steps:
        offset += gap
        time += step or 0
        if aligned:
            time -= time % MINUTE
        effective = stream_time if step is None else time
        stream_time = max(stream_time, effective)
        occurred_at = nudge + {
            "skew": effective + rules.max_clock_skew_ms,
            "retention": effective - rules.retention_ms,
            "late": stream_time - rules.allowed_lateness_ms - MINUTE,
            "early": effective - 2 * MINUTE,
        }.get(kind, effective)
        made = record(offset, -1 if step is None else time, event_id, pin, max(0, occurred_at), *who)
        if kind in ("invalid", "tombstone"):
            made = LogRecord(offset, made.timestamp, b"{}" if kind == "invalid" else None, made.key, made.headers)
        records.append(made)
        offset += 1
    return Log(tuple(records), offset + draw(_GAPS))


@st.composite
def ruled_logs(draw: st.DrawFn, max_records: int = 40) -> tuple[Rules, Log]:
    """Rules, and a log that stands at their edges."""
    drawn = draw(rules())
    return drawn, draw(logs(drawn, max_records))


def borders(log: Log, start: int = 0) -> st.SearchStrategy[list[int]]:
    """Chunk borders from `start` to the log's end, wherever."""
    inner = st.lists(st.integers(start, max(start, log.end)), max_size=12)
    return inner.map(lambda cuts: sorted({start, log.end, *cuts}))
