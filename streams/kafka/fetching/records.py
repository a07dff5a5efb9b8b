"""Records in columns over the bytes that were fetched: nothing is copied, and no object is made of a record.

Key and headers are read when somebody asks for them: of dead letters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from aiokafka.record.util import decode_varint
from numpy.typing import NDArray

from pintally.schemas.decoding.values import Values
from pintally.streams.counting.log import Envelope


@dataclass(frozen=True, slots=True)
class Records:
    """n records, ascending by offset."""

    offsets: NDArray[np.int64]  # shape (n,), as the next three
    timestamps: NDArray[np.int64]  # ms
    values: Values
    heads: NDArray[np.int64]  # bytes in front of each value that belong to its record: its key among them
    others: Mapping[int, Envelope]  # offset -> key and headers, of records whose bytes are not in the text

    @classmethod
    def joined(cls, parts: "Sequence[Records]") -> "Records":
        """All of these, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            _joined([each.offsets for each in parts]),
            _joined([each.timestamps for each in parts]),
            Values.joined([each.values for each in parts]),
            _joined([each.heads for each in parts]),
            {offset: envelope for each in parts for offset, envelope in each.others.items()},
        )

    @classmethod
    def of(cls, records: Sequence[tuple[int, int | None, bytes | None, Envelope]]) -> "Records":
        """Of records as objects: offset, timestamp (ms, None for none), value, key and headers."""
        return cls(
            np.array([offset for offset, _, _, _ in records], np.int64),
            np.array([-1 if timestamp is None else timestamp for _, timestamp, _, _ in records], np.int64),
            Values.of([value for _, _, value, _ in records]),
            np.zeros(len(records), np.int64),
            {offset: envelope for offset, _, _, envelope in records},
        )

    def since(self, offset: int) -> "Records":
        """Those at this offset and behind it."""
        if not len(self.offsets) or self.offsets[0] >= offset:
            return self
        wanted = slice(int(self.offsets.searchsorted(offset)), None)
        return Records(
            self.offsets[wanted], self.timestamps[wanted], self.values[wanted], self.heads[wanted], self.others
        )

    def envelopes(self, offsets: Sequence[int]) -> dict[int, Envelope]:
        """Key and headers of the records at these offsets; a name's bytes that are not UTF-8 as surrogates ."""
        rows = self.offsets.searchsorted(np.asarray(offsets, np.int64)).tolist()
        return {
            offset: self.others[offset] if offset in self.others else self._envelope(row)
            for offset, row in zip(offsets, rows, strict=True)
        }

    def _envelope(self, row: int) -> Envelope:
        text, value, size = self.values.text.data, int(self.values.starts[row]), int(self.values.lengths[row])
        _, at = decode_varint(text, value - int(self.heads[row]) + 1)  # behind the attributes: how much later it came
        _, at = decode_varint(text, at)  # its place in the batch
        key, _ = _nullable(text, at)
        count, at = decode_varint(text, value + max(0, size))
        headers = []
        for _ in range(count):
            name, at = _nullable(text, at)
            content, at = _nullable(text, at)
            headers.append(((name or b"").decode("utf-8", "surrogateescape"), content))
        return key, tuple(headers)


def _nullable(text: memoryview, at: int) -> tuple[bytes | None, int]:
    size, start = decode_varint(text, at)
    end = start + max(0, size)
    return (None if size < 0 else bytes(text[start:end])), end


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
