"""Columns of labels: what they say does not depend on how their labels are numbered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.label_column import LabelColumn
from tests.support.cells import broken_down, cells

TEXTS = st.lists(st.sampled_from(["", "a", "b", "é", "unknown"]), max_size=12)


def renumbered(column: LabelColumn) -> LabelColumn:
    """The same in other numbers, with a label that no row has."""
    last = len(column.labels)
    return LabelColumn(np.uint32(last) - column.numbers, ("spare", *reversed(column.labels)))


@given(st.lists(TEXTS, max_size=4))
def test_joined_columns_say_what_their_parts_say(texts: list[list[str]]) -> None:
    parts = [LabelColumn.of(each) for each in texts]
    joined = LabelColumn.concat([*parts, *map(renumbered, parts)])
    assert joined.tolist() == [label for each in texts * 2 for label in each]
    assert len(set(joined.labels)) == len(joined.labels)
    assert joined.numbers.dtype == np.uint32


@given(TEXTS, TEXTS)
def test_columns_are_equal_if_they_say_the_same(one: list[str], other: list[str]) -> None:
    column = LabelColumn.of(one)
    assert column == renumbered(column)
    assert (column == renumbered(LabelColumn.of(other))) == (one == other)
    assert column != one


@given(TEXTS, st.data())
def test_rows_are_chosen_by_slice_mask_and_index(text: list[str], data: st.DataObject) -> None:
    column = LabelColumn.of(text)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text))), np.bool_)
    chosen = [label for label, is_chosen in zip(text, mask.tolist(), strict=True) if is_chosen]
    assert column[mask].tolist() == column[mask.nonzero()[0]].tolist() == chosen
    assert column[1:3].tolist() == text[1:3]
    assert len(column[:0]) == 0


def test_a_label_that_repeats_is_kept_once() -> None:
    assert LabelColumn.repeat("home", 3) == LabelColumn.of(["home"] * 3)
    assert LabelColumn.of(["home"] * 3).labels == ("home",)


def test_rows_of_cells_keep_their_labels() -> None:
    one, other = (1, 0, 600, 1, 60, 7, 3, 9, "home", "ios", 2), (1, 0, 600, 1, 60, 8, 3, 9, "search", "ios", 3)
    both = PinMinuteRows.concat([cells(one), cells(other), cells()])
    assert broken_down(both) == [one, other]
    assert broken_down(both.select(np.array([False, True]))) == [other]
    assert broken_down(PinMinuteRows.concat([])) == []
