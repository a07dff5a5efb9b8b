"""The outcomes that need no state but the stream time: invalid and late (C2), and the reason in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.dead_letters import SENT_BEFORE
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.framed import decode_by_rule
from pintally.schemas.decoding.values import Values
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.rules import MINUTE_MS, Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.slices import Piece

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """The records of a chunk, each array with one entry a record."""

    decoded: Decoded
    timestamps: NDArray[np.int64]  # ms; negative where a record has none
    stream_times: NDArray[np.int64]  # ms, after the record
    minutes: NDArray[np.int64]  # since 1970, of event time
    invalid: Mask
    late: Mask  # and not invalid
    trusted: Mask  # of counted records (C30): true until pin-minutes say so


def judge(decoded: Decoded, timestamps: NDArray[np.int64], stream_times: NDArray[np.int64], rules: Rules) -> Judged:
    """Decide which records are invalid, and which are late.

    A record without a Kafka timestamp is invalid: a broker bounds how old a producer's timestamp may be, but accepts -1
    whatever the bound is. Such a record could come at any time, and count in a window that is final (C22).
    The rules' durations are added to event times, which are bounded: a Kafka timestamp can be so large that a sum with
    it overflows.
    """
    occurred = decoded.occurred_at
    minutes = occurred // MINUTE_MS
    invalid = ~decoded.valid
    invalid |= timestamps < 0
    invalid |= occurred - rules.max_clock_skew_ms > timestamps
    invalid |= occurred + rules.retention_ms < timestamps
    late = (
        minutes < (stream_times - rules.allowed_lateness_ms) // MINUTE_MS
    )  # minute end + lateness <= stream time, in minutes
    late &= ~invalid
    return Judged(decoded, timestamps, stream_times, minutes, invalid, late, np.ones(len(late), np.bool_))


def dead_letters(
    source: Source, chunk: Chunk, judged: Judged, duplicate: Mask, piece: Piece, rules: Rules, epoch: int
) -> Iterator[DeadLetterRow]:
    """A dead letter for each invalid or late record of a piece of a chunk.

    `duplicate` has an entry a record of the piece: whether its id was seen before. The letter of a late duplicate
    says so, because a replay must not count it either.
    """
    records = (judged.invalid | judged.late)[piece.records].nonzero()[0] + piece.first
    if not len(records):
        return
    offsets = chunk.offsets[records].tolist()
    envelopes = chunk.envelopes(offsets)
    for i, offset in zip(records.tolist(), offsets, strict=True):
        key, headers = envelopes[offset]
        yield DeadLetterRow(
            source=source,
            offset=offset,
            timestamp=int(chunk.timestamps[i]),
            outcome=("invalid" if judged.invalid[i] else "late"),
            reason=_reason(judged, i, rules) + (SENT_BEFORE if duplicate[i - piece.first] else ""),
            key=key,
            value=chunk.values[i],
            headers=headers,
            epoch=epoch,
        )


def why_invalid(value: bytes | None, action: Action, timestamp: int, rules: Rules) -> str | None:
    """Why a record with this value and Kafka timestamp (ms) would be invalid; None if it would not be."""
    moment = np.array([timestamp], np.int64)
    decoded = decode_by_rule(Values.of([value]), action, rules.prefix_bytes)
    judged = judge(decoded, moment, moment, rules)
    return _reason(judged, 0, rules) if judged.invalid[0] else None


def _reason(judged: Judged, i: int, rules: Rules) -> str:
    if not judged.decoded.valid[i]:
        return judged.decoded.reasons[i]
    if judged.timestamps[i] < 0:
        return "it has no Kafka timestamp: nothing tells when it came"
    occurred_at, timestamp = int(judged.decoded.occurred_at[i]), int(judged.timestamps[i])
    event, kafka = f"event time {_utc(occurred_at)}", f"the Kafka timestamp {_utc(timestamp)}"
    if not judged.invalid[i]:
        overdue = int(judged.stream_times[i]) - (occurred_at // MINUTE_MS + 1) * MINUTE_MS - rules.allowed_lateness_ms
        allowed = _seconds(rules.allowed_lateness_ms)
        return f"late by {_seconds(overdue)}: the minute of {event} closed {allowed} after its end"
    if occurred_at > timestamp:
        return f"{event} leads {kafka} by more than {_seconds(rules.max_clock_skew_ms)}"
    return f"{event} is older than the tables keep: more than {_seconds(rules.retention_ms)} before {kafka}"


def _utc(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.10g} s"
