"""Cells as rows: the types of their columns are read from annotations, which numpy spells in two ways."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypeAliasType

from pintally.schemas.cells import CellRows, PinMinuteRows

T = TypeVar("T", bound=np.generic)
BEFORE = np.ndarray[tuple[Any, ...], np.dtype[T]]  # NDArray up to numpy 2.4
# From 2.5 on. mypy: the stubs of typing_extensions want a type variable of its own.
SINCE: Any = TypeAliasType("SINCE", np.ndarray[tuple[Any, ...], np.dtype[T]], type_params=(T,))  # type: ignore[arg-type]


def test_columns_have_the_types_of_their_annotations() -> None:
    assert PinMinuteRows.columns()["pin_id"] is np.uint64
    assert CellRows.columns()["slice_block"] is np.uint32


@pytest.mark.parametrize("spelled", [NDArray, BEFORE, SINCE], ids=["here", "before 2.5", "since 2.5"])
def test_both_spellings_of_arrays_tell_the_type_of_a_column(spelled: Any) -> None:
    @dataclass(frozen=True, slots=True)
    class Rows(CellRows):
        counted: spelled[np.uint16]

    assert Rows.columns()["counted"] is np.uint16
