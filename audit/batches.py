"""Batches as Kafka keeps them, where kafka-python would give up or go astray.

Kafka takes any bytes for the name of a header and any number for the offset of a record in its batch; kafka-python
raises on the first, and jumps about on the second. An audit needs no headers, and knows the offsets: a batch that was
never compacted has one record at each, in order. Importing this module teaches kafka-python so, in this process.
"""

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint


class PlainBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch whose records have no headers here, and offsets that ascend."""

    _pos: int

    def _read_msg(self, *_: Any) -> Any:
        if self.is_control_batch:
            return super()._read_msg()
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        _, at = decode_varint(buffer, start)  # attributes, unused by Kafka
        later, at = decode_varint(buffer, at)
        delta, at = decode_varint(buffer, at)
        key, at = _nullable(buffer, at)
        value, at = _nullable(buffer, at)
        if at >= start + length > 0:  # at least the number of headers follows
            raise ValueError(f"a record of {length} bytes holds more")
        self._pos = start + length
        if self.records_count == self.last_offset_delta + 1:
            delta = self._next_record_index
        timestamp = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else self.first_timestamp + later
        return DefaultRecord(length, self.base_offset + delta, timestamp, self.timestamp_type, key, value, [])


def _nullable(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    return (None, at) if length < 0 else (bytes(buffer[at : at + length]), at + length)


memory_records.DefaultRecordBatch = PlainBatch
