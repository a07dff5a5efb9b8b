"""Rows that are compared as columns are found right only where each of them is right."""

from bisect import bisect_left
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pintally.audit.aggregates import AGGREGATES, cell_rows
from pintally.audit.compare import Judge, Table
from pintally.audit.flushed import EPOCH_SHIFT
from pintally.audit.labels import digest
from pintally.audit.recount import SliceStart
from pintally.audit.rules import parse_rules
from pintally.audit.slices import Slice
from tests.audit.test_recount_properties import RULES, Record, logs, recount

EPOCH = 3
JUDGE = Judge("saves[0]", EPOCH, parse_rules(RULES.to_json()))
TABLE = Table(AGGREGATES[0], 0, 0)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)


def rows_of(slice_: Slice, positions: list[int]) -> NDArray[Any]:
    """What a worker writes of a slice, each cell at one of these positions; none if nothing is counted there yet."""
    cells = slice_.cells[0]
    rows = []
    for number, key in enumerate(zip(*(column.tolist() for column in cells.keys), strict=True)):
        position = positions[number % len(positions)]
        offsets = cells.offsets[cells.starts[number] : cells.starts[number + 1]].tolist()
        if value := bisect_left(offsets, position):
            trusted = int(cells.trusted[cells.starts[number] :][:value].sum())
            rows.append((*slice_.key, *key, value, trusted, (EPOCH << EPOCH_SHIFT) + position))
    return np.array(rows, TABLE.aggregate.layout)


def slices_of(log: tuple[list[Record], int]) -> list[Slice]:
    records, end = log
    start = records[0].offset if records else 0
    return recount(records, SliceStart(start, 0), start, end, [])


@unhurried
@given(logs())
def test_rows_of_a_whole_slice_are_right_without_a_look_at_each(log: tuple[list[Record], int]) -> None:
    for slice_ in slices_of(log):
        assert JUDGE._are_right(TABLE, slice_, rows_of(slice_, [slice_.end]))


@unhurried
@given(logs(), st.data())
def test_columns_say_what_each_row_says(log: tuple[list[Record], int], data: st.DataObject) -> None:
    for slice_ in slices_of(log):
        places = st.integers(slice_.start, slice_.end + 1)
        rows = rows_of(slice_, data.draw(st.lists(places, min_size=1, max_size=3)))
        if len(rows) and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(rows) - 1))
            field, change = data.draw(st.sampled_from([
                ("value", 1), ("value", -1), ("trusted", 1), ("trusted", -1),
                ("version", 1), ("version", -1), ("version", 1 << EPOCH_SHIFT),
                ("pin_id", 1), ("minute", 60), ("action", 1), ("surface", 0), ("platform", 0), (None, 0),
            ]))  # fmt: skip
            if field is None:
                rows = np.delete(rows, at)
            elif field in ("surface", "platform"):
                rows[field][at] = np.void(
                    digest(data.draw(st.sampled_from(["a", "b", "other", "unknown", "nobody's"])))
                )
            else:
                rows[field][at] = int(rows[field][at]) + change
        position = data.draw(places)
        one_by_one = JUDGE._cells_one_by_one(TABLE, slice_, cell_rows(TABLE.aggregate, rows), position)
        assert list(JUDGE.cells(TABLE, slice_, rows, position)) == list(one_by_one)
