"""Conditions that must always hold in ClickHouse (C25). SQL alone checks them, without the log.

- Slices join from the start row on. The outcomes of each add up to its offsets, and its version has its position.
- The sum of the cells of a complete slice is what its ledger row counted. (Of an unfinished one, and of one that was
  cut short because the log lost what came next, nothing is said: its rows may be ahead of the ledger.)
- A source's number is that of its name; whoever has cells or ledger rows has a start row.
- Of no row are more records trusted than counted.
- No row is of an epoch that no longer rules where it is.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.chain import DAMAGED, RulesEpoch, current_rows, epochs_in_force, in_force
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import EPOCH_SHIFT, Flushed, LedgerRow
from pintally.audit.tables import source_id

SUMS = """
SELECT source, slice_block, toUInt32(arrived_at) AS arrived_at, bitShiftRight(version, 48) AS epoch,
    sum({value}) AS added, countIf({trusted} > {value}) AS above
FROM {table} FINAL
GROUP BY source, slice_block, arrived_at, epoch"""
Sums = dict[tuple[str, int, int, int, int], int]  # (table, source, slice_block, arrived_at, epoch) -> its cells added


def read_sums(clickhouse: ClickHouse) -> tuple[Sums, Sums]:
    """The cells of each slice, added up by ClickHouse, of every aggregate; and how many of them have more trusted."""
    added, above = Sums(), Sums()
    for aggregate in AGGREGATES:
        sql = SUMS.format(table=aggregate.table, value=aggregate.value, trusted=aggregate.trusted)
        for row in clickhouse.rows(sql):
            key = (aggregate.table, row["source"], row["slice_block"], row["arrived_at"], row["epoch"])
            added[key], above[key] = row["added"], row["above"]
    return added, above


def check_trusted(flushed: Flushed, above: Sums) -> Iterator[Finding]:
    """The slices of one source with cells of which more is trusted than counted."""
    for (_, source, slice_block, arrived_at, _), cells in above.items():
        if source == flushed.id and cells:
            about = Finding(Kind.INVARIANT, str(flushed), cells, 0, "cells with more trusted than counted")
            yield replace(about, slice=f"{slice_block}/{arrived_at}")


def check_ledger(
    flushed: Flushed,
    sums: Sums,
    oldest: Mapping[str, int],
    summed: Container[tuple[int, int, int, int]] | None = None,
) -> Iterator[Finding]:
    """The invariants of one source; slices with cells older than `oldest` (seconds, by table) are not summed.

    `summed` are the slices that are: (source, slice, version); None: all.
    """
    if not flushed.starts:
        yield _broken(flushed, "no start row", flushed.id, None)
        return
    if source_id(flushed) != flushed.id:
        yield _broken(flushed, "number of the source", flushed.id, source_id(flushed))
    epochs = epochs_in_force(flushed.starts)
    rows = sorted(current_rows(flushed, epochs), key=lambda row: row.start)
    given_up = {row.start for row in in_force(flushed) if row.kind == DAMAGED}
    for row, after in zip_longest(rows, rows[1:]):
        if row.start in given_up:
            continue
        yield from _check_row(flushed, row)
        epoch = next(epoch for epoch in epochs if epoch.holds(row))
        youngest_dropped = row.arrived_at - epoch.rules.allowed_lateness_ms // 1000 - 60
        is_summed = summed is None or (flushed.id, *row.key, row.version) in summed
        if is_summed and after is not None and after.start == row.position:
            for aggregate in AGGREGATES:
                if youngest_dropped < oldest.get(aggregate.table, 0):
                    continue
                added = sums.get((aggregate.table, flushed.id, *row.key, row.epoch), 0)
                if added != (expected := row.check_sums.get(aggregate.table, added)):
                    yield _broken(flushed, "sum of cells", added, expected, row)


def _check_row(flushed: Flushed, row: LedgerRow) -> Iterator[Finding]:
    outcomes = row.counted + row.duplicate + row.late + row.invalid + row.gaps
    if outcomes != row.position - row.start:
        yield _broken(flushed, "outcomes add up", outcomes, row.position - row.start, row)
    if row.cells_sum != row.counted:
        yield _broken(flushed, "cells_sum is counted", row.cells_sum, row.counted, row)
    version = (row.epoch << EPOCH_SHIFT) + row.position
    if row.version != version:
        yield _broken(flushed, "version", row.version, version, row)


def superseded_slices(flushed: Flushed, epochs: Sequence[RulesEpoch], sums: Sums) -> Iterator[Finding]:
    """Slices with cells of a lower epoch than rules there."""
    ruling = {row.key: row.epoch for row in current_rows(flushed, epochs)}
    for (_, source, slice_block, arrived_at, epoch), added in sums.items():
        if source == flushed.id and epoch < ruling.get((slice_block, arrived_at), epoch):
            about = Finding(Kind.SUPERSEDED_ROW, str(flushed), added, None, f"epoch {epoch}")
            yield replace(about, slice=f"{slice_block}/{arrived_at}")


def _broken(flushed: Flushed, name: str, found: int, expected: int | None, row: LedgerRow | None = None) -> Finding:
    about = Finding(Kind.INVARIANT, str(flushed), found, expected, name)
    if row is None:
        return about
    return replace(about, slice=f"{row.slice_block}/{row.arrived_at}", start=row.start, end=row.position)
