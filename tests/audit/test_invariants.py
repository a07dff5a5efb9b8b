"""What must always be true of a ledger, found without the log (C25)."""

from dataclasses import replace
from uuid import UUID

from pintally.audit.flushed import Flushed, LedgerRow, StartRow
from pintally.audit.invariants import check_ledger, check_trusted
from pintally.audit.tables import source_id
from pintally.schemas.rules import Rules

START = StartRow(0, 0, 0, Rules(slice_records=100).to_json())
UNNAMED = Flushed(0, "engagement.save.v1", UUID(int=7), 3, (START,), ())


def flushed(*rows: LedgerRow) -> Flushed:
    return replace(UNNAMED, id=source_id(UNNAMED), ledger=rows)


def row(start: int, position: int) -> LedgerRow:
    n = position - start
    return LedgerRow(start // 100, 600, start, 0, position, 9, n, 0, 0, 0, 0, n, 0, "", position)


def found(source: Flushed, *sums: int) -> list[str | None]:
    """What the invariants name, where the cells of each slice add up to these numbers."""
    cells = {
        ("pin_minutes", source.id, r.slice_block, r.arrived_at, 0): n for r, n in zip(source.ledger, sums, strict=True)
    }
    return [finding.field for finding in check_ledger(source, cells, oldest={"pin_minutes": -(2**40)})]


def test_a_source_with_a_start_row_and_no_ledger_row_breaks_none() -> None:
    """A worker has begun, and its first flush is still to come."""
    assert found(flushed()) == []


def test_a_source_with_one_slice_breaks_none_whatever_its_cells() -> None:
    """An unfinished slice: its rows may be ahead of the ledger."""
    assert found(flushed(row(0, 40)), 41) == []


def test_a_complete_slice_has_the_cells_that_its_row_counted() -> None:
    rows = row(0, 100), row(100, 140)
    assert found(flushed(*rows), 100, 99) == []
    assert found(flushed(*rows), 99, 40) == ["sum of cells"]


def test_the_last_slice_is_never_called_complete_though_its_block_is_full() -> None:
    assert found(flushed(row(0, 100)), 7) == []


def test_a_row_whose_numbers_do_not_fit_each_other_is_named() -> None:
    wrong = replace(row(0, 100), invalid=1, cells_sum=99, version=7)
    assert found(flushed(wrong), 99) == ["outcomes add up", "cells_sum is counted", "version"]


def test_a_number_that_is_not_that_of_the_name_is_named() -> None:
    assert found(replace(UNNAMED, id=5)) == ["number of the source"]


def test_cells_with_more_trusted_than_counted_are_named_by_slice() -> None:
    own, other = flushed(row(0, 100)), ("pin_minutes", 5, 0, 600, 0)
    above = {("pin_minutes", own.id, 0, 600, 0): 2, ("pin_minutes", own.id, 1, 600, 0): 0, other: 1}
    [found] = check_trusted(own, above)
    assert (found.field, found.slice, found.found) == ("cells with more trusted than counted", "0/600", 2)
