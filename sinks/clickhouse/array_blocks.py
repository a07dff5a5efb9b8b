"""Columns of cells as ClickHouse takes them, from arrays, without work for each row.

clickhouse-driver has columns of numpy too. It makes a LowCardinality column of strings, row by row (0.23 us a row for
two columns, where numbers cost what any other column does). And it loads pandas, of which nothing is used here, at each
start of a worker (0.25 s of CPU, 65 MiB with pyarrow). So a client of ours sends these columns itself.

Formats: https://clickhouse.com/docs/native-protocol/columns; of the labels, LowCardinality.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from clickhouse_driver import Client
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_int64, write_binary_str, write_binary_uint8
from numpy.typing import NDArray

from pintally.schemas.cells import Column
from pintally.schemas.label_column import LabelColumn

BLOCK_ROWS: Final = 1 << 16  # rows that are sent at once: larger copies cost twice as much, in page faults
WIDTHS: Final = (np.uint8, np.uint16, np.uint32)  # of numbers of labels; their index is what the format calls the type
KEYS_VERSION: Final = 1  # of LowCardinality
WITH_OWN_LABELS: Final = 1 << 9 | 1 << 10  # the labels follow, and replace those of blocks before


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of equal length, as `ArrayClient` takes them for the rows of an INSERT."""

    columns: Sequence[Column]

    def blocks(self) -> Iterator[list[Column]]:
        """The same in parts of at most BLOCK_ROWS rows; no number is copied."""
        for start in range(0, len(self.columns[0]), BLOCK_ROWS):
            yield [column[start : start + BLOCK_ROWS] for column in self.columns]


class ArrayClient(Client):  # type: ignore[misc]
    """The driver's client, which also inserts Columns: `execute(insert, [Columns(...)], columnar=True)`."""

    def send_data(self, sample_block: Any, data: Any, types_check: bool = False, columnar: bool = False) -> int:
        """Send the rows of an INSERT. Raises TypeError for a type that no column of cells has."""
        if not (data and isinstance(data[0], Columns)):
            return int(super().send_data(sample_block, data, types_check=types_check, columnar=columnar))
        (columns,) = data
        for block in columns.blocks():
            self._send(sample_block.columns_with_types, block)
            self.receive_profile_events()
        self.connection.send_data(ColumnOrientedBlock())  # the end of the data
        self.receive_profile_events()
        return len(columns.columns[0])

    def _send(self, names_and_types: Sequence[tuple[str, str]], block: Sequence[Column]) -> None:
        out = self.connection.fout
        write_varint(ClientPacketTypes.DATA, out)
        write_binary_str("", out)  # no temporary table
        BlockInfo().write(out)
        write_varint(len(block), out)
        write_varint(len(block[0]), out)
        for (name, kind), column in zip(names_and_types, block, strict=True):
            write_binary_str(name, out)
            write_binary_str(kind, out)
            write_binary_uint8(0, out)  # no serialization of its own
            if isinstance(column, LabelColumn):
                _write_labels(kind, column, out)
            else:
                out.write(_little_endian(column, _numbers_of(kind)))
        out.flush()


def _write_labels(kind: str, column: LabelColumn, out: Any) -> None:
    if kind != "LowCardinality(String)":
        raise TypeError(f"labels are sent as LowCardinality(String), and the table has {kind}")
    width = next(width for width in range(3) if len(column.labels) <= 2 ** (8 << width))
    write_binary_int64(KEYS_VERSION, out)
    write_binary_int64(WITH_OWN_LABELS | width, out)
    write_binary_int64(len(column.labels), out)
    for label in column.labels:
        write_binary_str(label, out)
    write_binary_int64(len(column), out)
    out.write(_little_endian(column.numbers, WIDTHS[width]))


def _numbers_of(kind: str) -> Any:
    """The type of the numbers that a column of the table is sent as. Raises TypeError."""
    return np.uint32 if kind in ("DateTime", "DateTime('UTC')") else np.dtype(kind.lower())


def _little_endian(numbers: NDArray[Any], kind: Any) -> bytes:
    return numbers.astype(np.dtype(kind).newbyteorder("<"), copy=False).tobytes()
