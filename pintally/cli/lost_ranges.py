"""Losses that an operator accepted, as the commands show them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pintally.cli.console import data
from pintally.schemas.rows import LostKind, LostRow, SourceLedger
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import given_up

WORDS = {
    LostKind.TRIMMED: "deleted from the log before it was counted",
    LostKind.TRUNCATED: "counted, then lost by the log; its counts were removed",
    LostKind.RETIRED: "its topic was deleted; its counts stay",
    LostKind.DAMAGED: "counted; its rows are damaged, and the log no longer holds it",
    LostKind.RECOUNTED: "no longer in the log when the rest was counted again",
}


def print_lost(ledgers: Mapping[Source, SourceLedger]) -> None:
    """Print one line for each lost range."""
    for ledger in ledgers.values():
        for row in given_up(ledger):
            data.print(f"lost: {describe(row)}", markup=False)


def describe(row: LostRow) -> str:
    """Returns one range as a line of text."""
    offsets = (
        f"from offset {row.start:,} on" if row.kind is LostKind.RETIRED else f"offsets {row.start:,} to {row.end:,}"
    )
    return f"{row.source} {offsets}: {WORDS[row.kind]}" + (f" ({row.note})" if row.note else "")


def as_documents(rows: Iterable[LostRow]) -> list[dict[str, Any]]:
    """Returns the ranges as JSON objects; start and end are offsets."""
    return [
        {"kind": row.kind.value, "start": row.start, "end": row.end, "epoch": row.epoch, "note": row.note}
        for row in rows
    ]
