"""A record on `<topic>.dlq`: the original key, value and headers, then eight headers of ours that say what and why.

The names `__streams.errors.*` and their values, all UTF-8 text, are those of Kafka Streams' dead letter queue
(KIP-1034), so that tools made for it work here. It has no name for the outcome, the topic's UUID and the record's own
timestamp; those three are ours. Our headers come last: where an original header has the same name, `lastHeader` finds
ours, and a letter that was sent to its topic again and came back is still read rightly.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source

SENT_BEFORE: Final = "; its event_id was sent before"  # end of the reason of a late record that is a duplicate too
UNREADABLE: Final = "pintally.unreadable"  # header of what stands for an unreadable batch: its offsets, and why
Header = tuple[str, bytes | None]

NAMES: Final = (
    "__streams.errors.exception",  # "<outcome>: <reason>"
    "__streams.errors.message",  # the reason
    "__streams.errors.topic",
    "__streams.errors.partition",
    "__streams.errors.offset",
    "pintally.outcome",  # "late" or "invalid"
    "pintally.topic.id",  # the topic's UUID, hyphenated
    "pintally.timestamp",  # Unix ms, the record's own Kafka timestamp; -1 if it has none
)


def to_headers(row: DeadLetterRow) -> list[Header]:
    """All headers of the record on the dead-letter topic; its key and value are the row's."""
    values = (
        f"{row.outcome}: {row.reason}",
        row.reason,
        row.source.topic,
        row.source.partition,
        row.offset,
        row.outcome,
        row.source.topic_id,
        row.timestamp,
    )
    originals = [(readable(name), value) for name, value in row.headers]
    return [*originals, *((name, str(value).encode()) for name, value in zip(NAMES, values, strict=True))]


def from_record(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> DeadLetterRow:
    """The dead letter that a record on a dead-letter topic holds. Raises PintallyError if it is none of ours."""
    originals, ours = headers[: -len(NAMES)], headers[-len(NAMES) :]
    if tuple(name for name, _ in ours) != NAMES:
        raise _not_ours(headers)
    try:
        _, reason, topic, partition, offset, outcome, topic_id, timestamp = ((text or b"").decode() for _, text in ours)
        source = Source(topic, UUID(topic_id), int(partition))
        return DeadLetterRow(source, int(offset), int(timestamp), outcome, reason, key, value, tuple(originals))
    except ValueError as error:
        raise _not_ours(headers) from error


def readable(name: str) -> str:
    r"""A header's name in UTF-8, each byte that is none as `\xff`: many clients cannot read a record with others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _not_ours(headers: Sequence[Header]) -> PintallyError:
    return PintallyError(
        f"a record that is no dead letter of Pintally: its headers are {[name for name, _ in headers]}",
        f"Its last headers must be {', '.join(NAMES)}. Find out who else writes to this topic.",
    )
