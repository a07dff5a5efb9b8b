"""Every record of the logs that holds one of some event ids, valid or not.

The bytes are searched before a value is parsed, because nearly no record holds one of the ids. An id may be in upper or
lower case. If a value has a backslash, the id may be written with escapes, so such a value is always parsed.

Which rules hold does not matter here. JSON never begins with a byte 0, so a value that does is read behind the five
bytes of a schema registry.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from pintally.audit.log import Log, Partition

Progress = Callable[[int], None]  # is called with the number of offsets that were searched since the last call
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A record that holds the id."""

    at: Partition
    offset: int
    timestamp: int  # Kafka timestamp, Unix ms; -1 if it has none
    key: bytes | None
    value: bytes
    event_id: str  # in lower case

    def __str__(self) -> str:
        return f"{self.at.topic}[{self.at.partition}]@{self.offset}"


class Ids:
    """The ids to search for: UUIDs, or one text of any form."""

    def __init__(self, ids: Collection[str]) -> None:
        self._texts = frozenset(text.lower() for text in ids)
        self._bytes = frozenset(text.encode() for text in self._texts)
        self._only = next(iter(self._bytes)) if len(self._bytes) == 1 else None

    def of(self, value: bytes | None) -> str | None:
        """Returns the id in the `event_id` of a value, or anywhere in a value that is not a JSON object; else None."""
        if value is None:
            return None
        mentioned = self._mentioned(value)
        if mentioned is None and b"\\" not in value:
            return None
        try:
            fields = json.loads(value[5 if value[:1] == b"\0" else 0 :].decode())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return mentioned
        held = fields.get("event_id")
        return held.lower() if isinstance(held, str) and held.lower() in self._texts else None

    def _mentioned(self, value: bytes) -> str | None:
        lower = value.lower()
        if self._only is not None:
            return self._only.decode() if self._only in lower else None
        return next((found.decode() for found in _UUID.findall(lower) if found in self._bytes), None)


def find(log: Log, starts: Mapping[Partition, int], ids: Ids, progress: Progress) -> Iterator[Occurrence]:
    """Search each partition from its offset on. Raises CannotTell if Kafka does not answer."""
    for at, position in starts.items():
        if position >= at.end:
            continue
        for piece in log.read(at.topic, at.partition, position):
            for record in piece.records:
                if record.offset < at.end and (event_id := ids.of(record.value)) is not None:
                    assert record.value is not None
                    yield Occurrence(at, record.offset, record.timestamp, record.key, record.value, event_id)
            progress(min(piece.end, at.end) - position)
            position = piece.end
            if position >= at.end:
                break
