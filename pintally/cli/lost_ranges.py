"""What an operator gave up, as the commands show it."""

from collections.abc import Iterable, Mapping
from typing import Any

from pintally.cli.console import data
from pintally.schemas.rows import LostKind, LostRow, SourceLedger
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import effective

WORDS = {
    LostKind.TRIMMED: "gone from the log before it was counted",
    LostKind.TRUNCATED: "counted, lost by the log, and its counts taken back",
    LostKind.RETIRED: "its topic was deleted; what was counted stays",
    LostKind.DAMAGED: "counted, their rows damaged, and gone from the log",
    LostKind.RECOUNTED: "gone from the log when the rest was counted anew",
}


def given_up(ledger: SourceLedger) -> list[LostRow]:
    """What was given up, without the empty range where another topic took the place."""
    return [row for row in effective(ledger) if row.start < row.end or not ledger.replaced]


def print_lost(ledgers: Mapping[Source, SourceLedger]) -> None:
    """One line a range that was given up."""
    for ledger in ledgers.values():
        for row in given_up(ledger):
            data.print(f"lost: {describe(row)}", markup=False)


def describe(row: LostRow) -> str:
    """One range for people."""
    offsets = (
        f"from offset {row.start:,} on" if row.kind is LostKind.RETIRED else f"offsets {row.start:,} to {row.end:,}"
    )
    return f"{row.source} {offsets}: {WORDS[row.kind]}" + (f" ({row.note})" if row.note else "")


def as_documents(rows: Iterable[LostRow]) -> list[dict[str, Any]]:
    """The ranges for scripts."""
    return [
        {"kind": row.kind.value, "start": row.start, "end": row.end, "epoch": row.epoch, "note": row.note}
        for row in rows
    ]
