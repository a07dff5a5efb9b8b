"""What must always be true in ClickHouse, whatever the log says (C25): found by its own sums, without the log.

- Slices join from the start row on; of each, the fates add up to its offsets, and the version tells its position.
- The sum of the cells of a complete slice is what its ledger row counted. (Of an unfinished one, and of one that was
  cut short because the log lost what came next, nothing is said: its rows may be ahead of the ledger.)
- A source's number is that of its name; whoever has cells or ledger rows has a start row.
- No row is of a generation that no longer rules where it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from pintally.audit.chain import DAMAGED, Reign, held, in_force, reigns
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.emitted import GENERATION_SHIFT, Emitted, LedgerRow
from pintally.audit.findings import Finding, Kind
from pintally.audit.tables import source_id

DAY_SECONDS = 86_400
SUMS = """
SELECT source, block, toUInt32(arrived) AS arrived, bitShiftRight(version, 48) AS generation, sum(events) AS events
FROM pin_minutes FINAL
GROUP BY source, block, arrived, generation"""
Sums = dict[tuple[int, int, int, int], int]  # (source, block, arrived, generation) -> events


def read_sums(clickhouse: ClickHouse) -> Sums:
    """The cells of each slice, added up by ClickHouse."""
    keys = ("source", "block", "arrived", "generation")
    return {(*(row[key] for key in keys),): row["events"] for row in clickhouse.rows(SUMS)}


def check_ledger(emitted: Emitted, sums: Sums, oldest: int) -> Iterator[Finding]:
    """The invariants of one source; slices whose minutes may be older than `oldest` (seconds) are not summed."""
    if not emitted.starts:
        yield _broken(emitted, "no start row", emitted.id, None)
        return
    if source_id(emitted) != emitted.id:
        yield _broken(emitted, "number of the source", emitted.id, source_id(emitted))
    ruled = reigns(emitted.starts)
    rows = sorted(held(emitted, ruled), key=lambda row: row.start)
    given_up = {row.start for row in in_force(emitted) if row.kind == DAMAGED}
    for row, after in zip_longest(rows, rows[1:]):
        if row.start in given_up:
            continue
        yield from _check_row(emitted, row)
        reign = next(reign for reign in ruled if reign.holds(row))
        youngest_dropped = row.arrived - reign.rules.allowed_lateness_ms // 1000 - 60
        if after is not None and after.start == row.position and youngest_dropped >= oldest:
            events = sums.get((emitted.id, row.block, row.arrived, row.generation), 0)
            if events != row.cells_sum:
                yield _broken(emitted, "sum of cells", events, row.cells_sum, row)


def _check_row(emitted: Emitted, row: LedgerRow) -> Iterator[Finding]:
    fates = row.counted + row.duplicate + row.late + row.dead + row.absent
    if fates != row.position - row.start:
        yield _broken(emitted, "fates add up", fates, row.position - row.start, row)
    if row.cells_sum != row.counted:
        yield _broken(emitted, "cells_sum is counted", row.cells_sum, row.counted, row)
    version = (row.generation << GENERATION_SHIFT) + row.position
    if row.version != version:
        yield _broken(emitted, "version", row.version, version, row)


def void_slices(emitted: Emitted, ruled: Sequence[Reign], sums: Sums) -> Iterator[Finding]:
    """Slices with cells of a lower generation than rules there."""
    ruling = {row.key: row.generation for row in held(emitted, ruled)}
    for (source, block, arrived, generation), events in sums.items():
        if source == emitted.id and generation < ruling.get((block, arrived), generation):
            about = Finding(Kind.VOID_ROW, str(emitted), events, None, f"generation {generation}")
            yield replace(about, slice=f"{block}/{arrived}")


def _broken(emitted: Emitted, name: str, found: int, expected: int | None, row: LedgerRow | None = None) -> Finding:
    about = Finding(Kind.INVARIANT, str(emitted), found, expected, name)
    if row is None:
        return about
    return replace(about, slice=f"{row.block}/{row.arrived}", start=row.start, end=row.position)
