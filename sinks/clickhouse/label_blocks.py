"""Columns of labels as clickhouse-driver sends them: the labels of a block once, and a number a row.

The driver makes a LowCardinality column of strings, row by row: 0.23 us a row for two columns, where numbers cost what
any other column does. So `install` replaces its class for such columns by one that also takes `LabelArray`.
Format: https://clickhouse.com/docs/native-protocol/columns, LowCardinality.
"""

from typing import Any, Final, Self

import numpy as np
from clickhouse_driver.columns.numpy import service
from clickhouse_driver.columns.numpy.lowcardinalitycolumn import NumpyLowCardinalityColumn
from clickhouse_driver.writer import write_binary_int64

from pintally.schemas.label_column import LabelColumn

WIDTHS: Final = (np.uint8, np.uint16, np.uint32)  # of the numbers; their index is what the format calls the type


class LabelArray(np.ndarray[tuple[int, ...], np.dtype[np.uint32]]):
    """The numbers of a LabelColumn as an array that the driver cuts into blocks, with the labels at each block."""

    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, column: LabelColumn) -> Self:
        """The column; no number is copied."""
        array = column.numbers.view(cls)
        array.labels = column.labels
        return array

    def __array_finalize__(self, made_of: object) -> None:
        self.labels = getattr(made_of, "labels", ())


class LabelBlocks(NumpyLowCardinalityColumn):  # type: ignore[misc]
    """Writes a LabelArray; all else as the driver does."""

    def _write_data(self, items: Any, buf: Any) -> None:
        if not isinstance(items, LabelArray):
            super()._write_data(items, buf)
        elif len(items):
            width = next(width for width in range(3) if len(items.labels) <= 2 ** (8 << width))
            write_binary_int64(self.serialization_type | width, buf)
            write_binary_int64(len(items.labels), buf)
            self.nested_column.write_data(np.array(items.labels, object), buf)
            write_binary_int64(len(items), buf)
            buf.write(np.asarray(items, np.dtype(WIDTHS[width]).newbyteorder("<")).tobytes())


def _label_blocks(spec: str, column_of: Any, options: Any) -> LabelBlocks:
    return LabelBlocks(column_of(spec.removeprefix("LowCardinality(").removesuffix(")")), **options)


def install() -> None:
    """From now on the driver takes LabelArray too, on every connection. May be called again."""
    service.create_numpy_low_cardinality_column = _label_blocks
