"""The fold: what a source's log makes of its chunks. Pure: no I/O, no wall clock, no randomness (rules 1 to 4)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.actions import Action
from schemas.codec import Decoded, decode
from schemas.errors import PintallyError
from schemas.fates import Fate
from schemas.rows import CellRows, DeadLetterRow, LedgerRow
from schemas.rules import MINUTE_MS, Rules
from schemas.sources import Source
from streams import clock
from streams.chunk import Chunk
from streams.duplicates import SeenIds
from streams.fates import dead_and_late, reason
from streams.slices import Base, Piece, cut
from streams.tally import Tally


class ChunkRefused(Exception):
    """A chunk that does not start at the fold's position. `expected` is that position, the offset to seek to."""

    def __init__(self, chunk: Chunk, expected: int) -> None:
        self.expected = expected
        super().__init__(f"{self.trouble}: got offsets [{chunk.start}, {chunk.end}), expected them from {expected} on")

    trouble = "a chunk out of place"


class ChunkRepeated(ChunkRefused):
    """A chunk that starts below the position: its start is folded already."""

    trouble = "a chunk again"


class ChunkMissing(ChunkRefused):
    """A chunk that starts beyond the position: what lies between was never delivered."""

    trouble = "a hole before a chunk"


class LogChanged(PintallyError):
    """The log before the base does not lead to the clock that the ledger recorded at the base."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What one tick takes out of a source, all of one moment."""

    source: Source
    cells: CellRows  # absolute counts of dirty cells; version = generation and the slice's position at that moment
    ledger: tuple[LedgerRow, ...]  # one a slice with something new since its last acknowledged row, by start
    dead_letters: tuple[DeadLetterRow, ...]  # those not yet handed out, by offset
    tallies: tuple[Tally, ...] = field(repr=False)  # the slices of `ledger`, in its order


@dataclass(frozen=True, slots=True)
class _Fates:
    """The records of a chunk: columns and first fates, all of the same length."""

    decoded: Decoded
    timestamps: NDArray[np.int64]  # ms, effective
    clocks: NDArray[np.int64]  # ms, each including its record
    dead: NDArray[np.bool_]
    late: NDArray[np.bool_]


class SourceFold:
    """The state of one source: everything the fold of its log from the base has made."""

    def __init__(self, source: Source, action: Action, rules: Rules, generation: int, base: Base) -> None:
        self.source = source
        self.action = action
        self.rules = rules
        self.generation = generation
        self.base = base
        self.position = base.collect_start  # next offset to fold
        self.clock = base.collect_clock  # ms, at `position`
        self.emitted_version: int | None = None  # the highest version of a ledger row that was acknowledged
        self._seen = SeenIds()
        self._ended: list[Tally] = []  # slices that can never change again and are not all emitted, by start
        self._open: Tally | None = None  # the slice at `position`, once it has an offset
        self._dead_letters: list[DeadLetterRow] = []  # not handed out yet, by offset
        self._in_flight: Capture | None = None
        self._ended_unemitted = 0
        self._check_base()

    @property
    def counting(self) -> bool:
        """False below the base's start, where records only register their ids (rule 14)."""
        return self.position >= self.base.start

    @property
    def unemitted_cells(self) -> int:
        """Rows in memory that the sink does not know: cells and dead letters. Never too low; repeats may count twice
        until the cells are settled, at the latest after 65,536 records."""
        in_flight = len(self._in_flight.dead_letters) if self._in_flight else 0
        open_cells = self._open.cells.unemitted if self._open else 0
        return self._ended_unemitted + open_cells + len(self._dead_letters) + in_flight

    @property
    def nbytes(self) -> int:
        """Bytes of cells and ids."""
        open_bytes = self._open.cells.nbytes if self._open else 0
        return self._seen.nbytes + open_bytes + sum(tally.cells.nbytes for tally in self._ended)

    def fold(self, chunk: Chunk) -> None:
        """Fold one chunk.

        1. Decode and validate its values.
        2. Run the clock over its Kafka timestamps.
        3. Decide who is dead or late.
        4. Cut it into pieces of slices; of each piece, in order, all ids register and tell the duplicates,
           and the counted records go to the cells.
        5. Move on.

        Raises ChunkRefused, with nothing changed, unless the chunk starts at `position` (rule 4); LogChanged if the
        log does not lead to the base; ClockTooFar for a Kafka timestamp that no slice can carry.
        """
        self._check_chunk(chunk)
        decoded = decode(chunk.values, self.action)
        clocks, timestamps = clock.run(self.clock, chunk.timestamps)
        fates = _Fates(decoded, timestamps, clocks, *dead_and_late(decoded, timestamps, clocks, self.rules))
        for piece in cut(
            chunk.start, chunk.end, chunk.offsets, clocks, self.clock, self.rules.slice_records, also_at=self.base.start
        ):
            self._fold_piece(chunk, fates, piece)
            self.position, self.clock = piece.end, piece.clock
            self._check_base()

    def _check_chunk(self, chunk: Chunk) -> None:
        if chunk.start != self.position:
            raise (ChunkRepeated if chunk.start < self.position else ChunkMissing)(chunk, self.position)
        offsets = chunk.offsets
        if len(offsets) and not (
            chunk.start <= offsets[0] and offsets[-1] < chunk.end and (np.diff(offsets) > 0).all()
        ):
            raise ValueError(f"offsets of a chunk do not ascend within [{chunk.start}, {chunk.end})")

    def _check_base(self) -> None:
        if self.position == self.base.start and self.clock != self.base.start_clock:
            raise LogChanged(
                f"{self.source}: the clock at offset {self.position} is {self.clock} ms, but the ledger says "
                f"{self.base.start_clock} ms; records before it are gone, or the ledger is of another log",
                "Run `pintally verify` to see what the ledger and the log still share.",
            )

    def _fold_piece(self, chunk: Chunk, fates: _Fates, piece: Piece) -> None:
        records = slice(piece.first, piece.last)
        dead, late = fates.dead[records], fates.late[records]
        duplicate = self._duplicates(fates.decoded.event_id[records], dead, piece)
        if piece.start < self.base.start:
            return
        duplicate &= ~late
        counted = ~(dead | late | duplicate)
        tally = self._tally(piece)
        tally.cells.add(
            fates.decoded.occurred_at[records][counted] // MINUTE_MS, fates.decoded.pin_id[records][counted]
        )
        tally.advance(piece, *(int(np.count_nonzero(mask)) for mask in (counted, duplicate, late, dead)))
        self._bury(chunk, fates, np.flatnonzero(dead | late) + piece.first)
        if tally.position == (tally.slice.block + 1) * self.rules.slice_records:
            self._end()

    def _duplicates(self, ids: NDArray[np.uint64], dead: NDArray[np.bool_], piece: Piece) -> NDArray[np.bool_]:
        """Register all that is not dead (rule 2); which of it repeats an earlier id?"""
        duplicate = np.zeros(len(dead), np.bool_)
        if self.rules.dedup:
            alive = ~dead
            duplicate[alive] = self._seen.register(ids[alive], piece.slice.block, piece.slice.bucket)
        return duplicate

    def _tally(self, piece: Piece) -> Tally:
        """The open slice, if the piece goes on with it, else a new one."""
        if self._open and self._open.slice != piece.slice:
            self._end()
        if not self._open:
            self._open = Tally(piece)
        return self._open

    def _end(self) -> None:
        """The open slice can never change again."""
        assert self._open
        self._open.cells.settle(end=True)
        if self._open.position > self._open.recorded:  # else the sink has all of it
            self._ended_unemitted += self._open.cells.unemitted
            self._ended.append(self._open)
        self._open = None

    def _bury(self, chunk: Chunk, fates: _Fates, records: NDArray[np.intp]) -> None:
        """A dead letter for each of these dead or late records."""
        if not len(records):
            return
        envelopes = chunk.envelopes(chunk.offsets[records].tolist())
        for i in records.tolist():
            fate = Fate.DEAD if fates.dead[i] else Fate.LATE
            key, headers = envelopes[int(chunk.offsets[i])]
            self._dead_letters.append(
                DeadLetterRow(
                    source=self.source,
                    offset=int(chunk.offsets[i]),
                    timestamp=int(chunk.timestamps[i]),
                    fate=fate.name.lower(),
                    reason=self._reason(fate, fates, i),
                    key=key,
                    value=chunk.values[i],
                    headers=headers,
                )
            )

    def _reason(self, fate: Fate, fates: _Fates, i: int) -> str:
        if not fates.decoded.valid[i]:
            return fates.decoded.reasons[i]
        occurred_at, timestamp, at = (int(x[i]) for x in (fates.decoded.occurred_at, fates.timestamps, fates.clocks))
        return reason(fate, occurred_at, timestamp, at, self.rules)

    def capture(self, ended_only: bool = False) -> Capture | None:
        """Take out what the sink does not know, or None if it knows all; `ended_only` leaves the open slice alone.

        Raises RuntimeError while another capture is in flight (rule 7).
        """
        if self._in_flight:
            raise RuntimeError(f"{self.source}: a capture is in flight already; acknowledge it or merge it back")
        slices = self._ended if ended_only or not self._open else [*self._ended, self._open]
        tallies = tuple(tally for tally in slices if tally.position > tally.recorded)
        if not tallies:
            return None
        letters = self._hand_out(tallies[-1].position)
        cells = CellRows.concat([tally.take_dirty(self.source, self.action, self.generation) for tally in tallies])
        ledger = tuple(tally.ledger_row(self.source, self.generation, self.rules) for tally in tallies)
        self._in_flight = Capture(self.source, cells, ledger, letters, tallies)
        return self._in_flight

    def _hand_out(self, below: int) -> tuple[DeadLetterRow, ...]:
        """The dead letters of offsets below this one. There are none of slices whose last row is acknowledged."""
        n = sum(letter.offset < below for letter in self._dead_letters)
        letters, self._dead_letters = tuple(self._dead_letters[:n]), self._dead_letters[n:]
        return letters

    def acknowledge(self, capture: Capture) -> None:
        """The sink has all of it: slices that have ended leave memory. RuntimeError if it is not in flight."""
        self._land(capture)
        for tally, row in zip(capture.tallies, capture.ledger, strict=True):
            tally.cells.land()
            tally.recorded = row.position
        self.emitted_version = max(self.emitted_version or 0, *(row.version for row in capture.ledger))
        self._ended = [tally for tally in self._ended if tally.recorded < tally.position]
        self._ended_unemitted = sum(tally.cells.unemitted for tally in self._ended)

    def merge_back(self, capture: Capture) -> None:
        """The tick failed: all of it is to be emitted again, with newer counts where there are (rule 7)."""
        self._land(capture)
        for tally in capture.tallies:
            tally.cells.merge_back()
        self._dead_letters = [*capture.dead_letters, *self._dead_letters]

    def _land(self, capture: Capture) -> None:
        if self._in_flight is not capture:
            raise RuntimeError(f"{self.source}: this capture is not in flight")
        self._in_flight = None
