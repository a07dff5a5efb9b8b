"""Recounts slices from the log, by the rules that they were counted by."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from pintally.schemas.actions import Action
from pintally.schemas.cells import CellRows
from pintally.schemas.rows import DeadLetterRow, LedgerRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.fold import Capture, SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.slices import Base


@dataclass(frozen=True, slots=True)
class Folded:
    """One recounted slice, or its part below the end of the range. The version of its row is that of its position."""

    row: LedgerRow
    cells: tuple[CellRows, ...]  # of each aggregate
    letters: tuple[DeadLetterRow, ...]

    @property
    def name(self) -> tuple[int, int]:
        """slice_block and arrived_at."""
        return self.row.slice_block, self.row.arrived_at


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets [base.start, end) of a source, to be recounted by the rules of one epoch."""

    source: Source
    action: Action
    epoch: int
    rules: Rules
    base: Base
    end: int
    keys: UserKeys = NO_KEYS  # has the key that the rules name

    async def fold(self, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Folded, None]:
        """Yields its slices in order; `chunks` cover [base.collect_start, end). Raises LogChanged, ClockTooFar."""
        fold = SourceFold(self.source, self.action, self.rules, self.epoch, self.base, keys=self.keys)
        async for chunk in chunks:
            fold.fold(chunk)
            if capture := fold.capture(ended_only=True):
                for folded in _split(capture):
                    yield folded
                fold.acknowledge(capture)
        if capture := fold.capture():
            for folded in _split(capture):
                yield folded


def _split(capture: Capture) -> list[Folded]:
    """Returns what was captured, slice by slice."""
    return [
        Folded(
            row,
            tuple(_of(rows, row) for rows in capture.cells),
            tuple(letter for letter in capture.dead_letters if row.start <= letter.offset < row.position),
        )
        for row in capture.ledger
    ]


def _of(cells: CellRows, row: LedgerRow) -> CellRows:
    return cells.select((cells.slice_block == row.slice_block) & (cells.arrived_at == row.arrived_at))


@dataclass(frozen=True, slots=True)
class SliceStart:
    """The first offset of a slice, and the stream time (ms) before it."""

    offset: int
    stream_time: int


def base_at(places: Sequence[SliceStart], start: SliceStart, bucket: int, slice_records: int, ids_from: int) -> Base:
    """Returns the base for a slice that begins at `start`, with the place where ids are collected from (C14).

    `places` are slice starts, ascending; `bucket` is the arrival bucket of the slice; ids before `ids_from` do not
    matter. An earlier record matters if its block and its bucket are those of the slice or one less.
    """
    before = [place for place in places if ids_from <= place.offset < start.offset]
    collect = start
    while before and not _nothing_before_matters(collect, start, bucket, slice_records):
        collect = before.pop()
    return Base(collect.offset, collect.stream_time, start.offset, start.stream_time)


def _nothing_before_matters(place: SliceStart, start: SliceStart, bucket: int, slice_records: int) -> bool:
    blocks_away = start.offset // slice_records - (place.offset - 1) // slice_records
    return blocks_away >= 2 or bucket - place.stream_time // ARRIVAL_BUCKET_MS >= 2
