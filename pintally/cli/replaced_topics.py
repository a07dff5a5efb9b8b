"""Replaced topics, as the commands show them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pintally.cli.console import data
from pintally.schemas.rows import ReplacedRow, Replacement

HOW = {
    Replacement.SAME_OFFSETS: "a copy with the same offsets",
    Replacement.COPIED: "a copy with other offsets",
    Replacement.NEW_RECORDS: "new records only",
}


def print_replaced(rows: Sequence[ReplacedRow]) -> None:
    """Print one line for each topic."""
    for _, each in groupby(rows, key=lambda row: (row.epoch, row.source.topic, row.source.topic_id)):
        data.print(f"replaced: {describe(list(each))}", markup=False)


def describe(rows: Sequence[ReplacedRow]) -> str:
    """Returns one topic as a line of text."""
    first = rows[0]
    old = f"{first.old.topic} of UUID {first.old.topic_id}"
    places = ", ".join(f"[{row.source.partition}] from {row.start:,} instead of {row.old_end:,}" for row in rows)
    note = f" ({first.note})" if first.note else ""
    return (
        f"{first.source.topic} of UUID {first.source.topic_id} replaced {old}: {HOW[first.how]}, counted "
        f"{places}; {first.evidence}{note}"
    )


def as_documents(rows: Sequence[ReplacedRow]) -> list[dict[str, Any]]:
    """Returns one JSON object for each partition. Offsets are numbers."""
    return [
        {
            "source": str(row.source),
            "topic_id": str(row.source.topic_id),
            "old_topic": row.old.topic,
            "old_topic_id": str(row.old.topic_id),
            "how": row.how.value,
            "epoch": row.epoch,
            "old_end": row.old_end,
            "start": row.start,
            "collect_start": row.collect_start,
            "evidence": row.evidence,
            "note": row.note,
        }
        for row in rows
    ]
