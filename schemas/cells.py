"""Cells as rows: what the table of every aggregate has in common, and which tables there are.

A cell is one count within one slice. Only its aggregate knows what its key and its values mean; the sink writes, reads
and deletes the rows of every table in CELL_TABLES in one way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.label_column import LabelColumn

Column = NDArray[Any] | LabelColumn


@dataclass(frozen=True, slots=True)
class CellRows:
    """n cells of one aggregate with absolute values, one array a column, all of length n.

    A subclass adds first the columns that name a cell within its slice, then those that hold its values. Fields are
    called as the table's columns are, and have their types; a time is in seconds since 1970. A LabelColumn is
    LowCardinality(String) in the table.
    """

    table: ClassVar[str]  # the sink's table
    key: ClassVar[tuple[str, ...]]  # the columns that name a cell within its slice
    window: ClassVar[str]  # the one of `key` that is the start of its event-time window

    source: NDArray[np.uint64]  # Source.id
    slice_block: NDArray[np.uint32]  # offset // slice_records
    arrived_at: NDArray[np.uint32]  # the stream time floored to ten minutes
    version: NDArray[np.uint64]  # epoch and position: values are of the records of the slice below that position

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    @cache
    def columns(cls) -> dict[str, type[np.generic | LabelColumn]]:
        """The table's columns and their types, as the fields are annotated."""
        return {field.name: _element(field.type) for field in fields(cls)}

    @classmethod
    def values(cls) -> list[str]:
        """The columns that hold values. The check sum of a slice is the sum of the first."""
        return [name for name in cls.columns() if name not in (*SLICE_COLUMNS, *cls.key)]

    @classmethod
    def of(cls, columns: Iterable[Sequence[Any] | Column]) -> Self:
        """Rows of these columns, in the order of `columns`."""
        return cls(*(_column(kind, column) for column, kind in zip(columns, cls.columns().values(), strict=True)))

    @classmethod
    @cache
    def none(cls) -> Self:
        """No rows."""
        return cls.of([()] * len(cls.columns()))

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """All rows of `parts`, in order; no rows for no parts. A single part is not copied."""
        parts = list(parts)
        if len(parts) < 2:
            return parts[0] if parts else cls.none()
        return cls(*(_concat(kind, [getattr(part, name) for part in parts]) for name, kind in cls.columns().items()))

    def select(self, at: "NDArray[Any] | slice") -> Self:
        """The rows at some indexes, where a mask is true, or of a slice."""
        return type(self)(*(getattr(self, name)[at] for name in self.columns()))

    def tuples(self, names: Iterable[str]) -> list[tuple[Any, ...]]:
        """These columns row by row."""
        return list(zip(*(getattr(self, name).tolist() for name in names), strict=True))


def _element(annotation: Any) -> type[np.generic | LabelColumn]:
    """The type of the elements of an NDArray, however numpy spells that: from 2.5 on it is a type alias of its own."""
    arguments = get_args(annotation)
    return _element(arguments[-1]) if arguments else cast(type[np.generic | LabelColumn], annotation)


def _column(kind: type[np.generic | LabelColumn], column: Sequence[Any] | Column) -> Any:
    if isinstance(column, LabelColumn):
        return column
    return LabelColumn.of(column) if issubclass(kind, LabelColumn) else np.asarray(column, kind)


def _concat(kind: type[np.generic | LabelColumn], parts: Sequence[Any]) -> Any:
    return LabelColumn.concat(parts) if issubclass(kind, LabelColumn) else np.concatenate(parts)


SLICE_COLUMNS = tuple(CellRows.columns())  # which every table has
Rows = TypeVar("Rows", bound=CellRows)


@dataclass(frozen=True, slots=True)
class PinMinuteRows(CellRows):
    """Counted events a pin, minute, surface and platform."""

    table: ClassVar[str] = "pin_minutes"
    key: ClassVar[tuple[str, ...]] = ("action", "minute", "pin_id", "surface", "platform")
    window: ClassVar[str] = "minute"

    action: NDArray[np.uint8]  # Action
    minute: NDArray[np.uint32]  # start of the window [minute, minute + 60)
    pin_id: NDArray[np.uint64]
    surface: LabelColumn  # one of the first labels of the slice, `other` or `unknown` (C29)
    platform: LabelColumn
    events: NDArray[np.uint64]
    trusted: NDArray[np.uint64]  # of `events` (C30)


@dataclass(frozen=True, slots=True)
class PinMemberRows(CellRows):
    """Users a pin, hour and surface, by the keyed hash of the user, with their counted events (C31)."""

    table: ClassVar[str] = "pin_members"
    key: ClassVar[tuple[str, ...]] = ("action", "hour", "pin_id", "surface", "user_key", "user_hash")
    window: ClassVar[str] = "hour"

    action: NDArray[np.uint8]  # Action
    hour: NDArray[np.uint32]  # start of the window [hour, hour + 3600)
    pin_id: NDArray[np.uint64]
    surface: LabelColumn  # as in PinMinuteRows
    user_key: NDArray[np.uint32]  # the id of the key, as a number
    user_hash: NDArray[np.uint64]
    events: NDArray[np.uint64]
    trusted: NDArray[np.uint64]  # of `events` (C30)


@dataclass(frozen=True, slots=True)
class ExperimentRows(CellRows):
    """Counted events an arm of an experiment, hour and bucket of users (C32)."""

    table: ClassVar[str] = "experiment_cells"
    key: ClassVar[tuple[str, ...]] = ("action", "hour", "experiment", "arm", "bucket")
    window: ClassVar[str] = "hour"

    action: NDArray[np.uint8]  # Action
    hour: NDArray[np.uint32]  # start of the window [hour, hour + 3600)
    experiment: LabelColumn  # `other` with the arm `other`: not among the first pairs of the slice
    arm: LabelColumn
    bucket: NDArray[np.uint8]  # of the user: schemas.experiments
    events: NDArray[np.uint64]
    trusted: NDArray[np.uint64]  # of `events` (C30)


@dataclass(frozen=True, slots=True)
class ArmMemberRows(CellRows):
    """Users an arm of an experiment and hour, by the keyed hash of the user, with their counted events (C36)."""

    table: ClassVar[str] = "arm_members"
    key: ClassVar[tuple[str, ...]] = ("action", "hour", "experiment", "arm", "user_key", "user_hash")
    window: ClassVar[str] = "hour"

    action: NDArray[np.uint8]  # Action
    hour: NDArray[np.uint32]  # start of the window [hour, hour + 3600)
    experiment: LabelColumn  # as in ExperimentRows
    arm: LabelColumn
    user_key: NDArray[np.uint32]  # the id of the key, as a number
    user_hash: NDArray[np.uint64]
    events: NDArray[np.uint64]


# What is counted; `streams.counting.aggregates` counts it.
CELL_TABLES: list[type[CellRows]] = [PinMinuteRows, PinMemberRows, ArmMemberRows, ExperimentRows]
MEMBERS: tuple[type[CellRows], ...] = (PinMemberRows, ArmMemberRows)  # of persons: kept for days alone


def rows_of(kind: type[Rows], tables: Iterable[CellRows]) -> Rows:
    """The rows of one aggregate among those of all; none where it has none."""
    return kind.concat(rows for rows in tables if isinstance(rows, kind))
