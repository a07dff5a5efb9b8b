"""The fold: makes the state of a source from its log, chunk by chunk (C1 to C4). Pure: no I/O, clock or randomness."""

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.framed import decode_by_rule
from pintally.schemas.errors import PintallyError
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import position_of
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.duplicates import SeenIds
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.outcomes import Judged, dead_letters, judge
from pintally.streams.counting.pending import Capture, Pending, SliceState
from pintally.streams.counting.slices import Base, Piece, cut, run_stream_time
from pintally.streams.counting.tally import Tally
from pintally.streams.counting.unflushed import Unflushed

__all__ = ["Capture", "ChunkMissing", "ChunkRefused", "ChunkRepeated", "LogChanged", "RecordsGone", "SourceFold"]


class ChunkRefused(Exception):
    """A chunk that does not start at the fold's position. `expected` is that position, the offset to seek to."""

    trouble = "chunk out of place"

    def __init__(self, chunk: Chunk, expected: int) -> None:
        self.expected = expected
        super().__init__(f"{self.trouble}: got offsets [{chunk.start}, {chunk.end}), expected them from {expected} on")


class ChunkRepeated(ChunkRefused):
    """A chunk that starts below the position: its start is folded already."""

    trouble = "repeated chunk"


class ChunkMissing(ChunkRefused):
    """A chunk that starts beyond the position: what lies between was never delivered."""

    trouble = "gap before chunk"


class LogChanged(PintallyError):
    """The log before the base does not lead to the stream time that the ledger recorded at the base."""


class RecordsGone(PintallyError):
    """The first record after a cut base is too close in time to records that the log no longer holds."""


class SourceFold:
    """The state of one source: the result of folding its log from the base on."""

    def __init__(
        self,
        source: Source,
        action: Action,
        rules: Rules,
        epoch: int,
        base: Base,
        flushed: int | None = None,  # version of the last ledger row that led to `base`
        tally: Tally | None = None,  # of the topic, in this process; one of its own if not given
        keys: UserKeys = NO_KEYS,  # has the key that the rules name
        place: tuple[int, int] | None = None,  # block and bucket of that row; None: not known
    ) -> None:
        self.source = source
        self.action = action
        self.rules = rules
        self.epoch = epoch
        self.base = base
        self.position = base.collect_start  # next offset to fold
        self.stream_time = base.collect_stream_time  # ms, at `position`
        self._seen = SeenIds()
        self._tally = tally if tally is not None else Tally()
        self._known_below = 0 if flushed is None else position_of(flushed)  # what is flushed already is not new
        self._pending = Pending(source, action, rules, epoch, flushed, keys, place)
        self._is_cut = base.is_cut  # until the first record shows that what is gone does not matter
        if base.open_slice:
            self._pending.resume(base.open_slice)
        self._check_base()

    @property
    def counting(self) -> bool:
        """False below the base's start, where records only register their ids (C14)."""
        return self.position >= self.base.start

    @property
    def pending_cells(self) -> int:
        """Cells and dead letters in memory that are not flushed; a letter counts as the cells whose room it takes.

        Never too low; too high only for the last 65,536 records, each of which is taken for a cell of its own.
        """
        return self._pending.rows

    @property
    def nbytes(self) -> int:
        """Bytes of cells and ids."""
        return self._seen.nbytes + self._pending.nbytes

    @property
    def oldest_pending(self) -> int | None:
        """The lowest Kafka timestamp of what is folded and not flushed, in ms; None if nothing is, or has one."""
        return self._pending.oldest

    @property
    def flushed_version(self) -> int | None:
        """The highest version known to be in the ledger: read when the fold began, or acknowledged; None before."""
        return self._pending.version

    @property
    def flushed_place(self) -> tuple[int, int] | None:
        """The block and bucket (seconds since 1970) of the slice whose ledger row has that version, if known."""
        return self._pending.place

    def fold(self, chunk: Chunk) -> None:
        """Fold one chunk.

        1. Decode and validate its values.
        2. Run the stream time over its Kafka timestamps.
        3. Judge which records are invalid or late.
        4. Cut it into pieces of slices; in each, in order, the ids of all records that are not invalid are
           registered, which finds the duplicates, and the counted records go to the cells.
        5. Move on.

        Raises ChunkRefused, with nothing changed, unless the chunk starts at `position` (C4); ClockTooFar, with
        nothing changed, for a Kafka timestamp that no slice can carry; RecordsGone, with nothing changed, if what is
        gone before a cut base matters; LogChanged if the log does not lead to the base.
        """
        self._check_place(chunk)
        decoded = decode_by_rule(chunk.values, self.action, self.rules.prefix_bytes)
        stream_times = run_stream_time(self.stream_time, chunk.timestamps)
        self._check_cut(chunk, stream_times)
        judged = judge(decoded, chunk.timestamps, stream_times, self.rules)
        pieces = cut(
            chunk.start,
            chunk.end,
            chunk.offsets,
            stream_times,
            self.stream_time,
            self.rules.slice_records,
            self.base.start,
        )
        for piece in pieces:
            duplicate = self._register(judged, piece)
            if piece.start >= self.base.start:
                self._count(judged, duplicate, piece).saw(self._unflushed(chunk, piece))
                letters = [*dead_letters(self.source, chunk, judged, duplicate, piece, self.rules, self.epoch)]
                self._pending.add_dead_letters(letters)
                self._tally.add_letters(letters)
            self.position, self.stream_time = piece.end, piece.stream_time
            self._check_base()

    def _check_place(self, chunk: Chunk) -> None:
        if chunk.start != self.position:
            raise (ChunkRepeated if chunk.start < self.position else ChunkMissing)(chunk, self.position)
        offsets, inside = chunk.offsets, chunk.start <= chunk.end
        if len(offsets):
            inside = chunk.start <= offsets[0] and offsets[-1] < chunk.end and bool((offsets[1:] > offsets[:-1]).all())
        if not inside:
            raise ValueError(f"offsets of a chunk do not ascend within [{chunk.start}, {chunk.end})")

    def _check_base(self) -> None:
        if self.position == self.base.start and self.stream_time != self.base.start_stream_time:
            raise LogChanged(
                f"{self.source}: the stream time at offset {self.position} is {self.stream_time} ms, but the ledger "
                f"says {self.base.start_stream_time} ms; records before it are gone, or the ledger is of another log",
                "Run `pintally verify` to see what the ledger and the log still share.",
            )

    def _check_cut(self, chunk: Chunk, stream_times: NDArray[np.int64]) -> None:
        """Two stream-time buckets later no record can be in a slice before a cut base, and no id there matters (C2)."""
        if not self._is_cut or not len(stream_times):
            return
        before, bucket = self.base.start_stream_time // ARRIVAL_BUCKET_MS, int(stream_times[0]) // ARRIVAL_BUCKET_MS
        if bucket < before + 2:
            raise RecordsGone(
                f"{self.source}: the record at offset {chunk.offsets[0]} came within twenty minutes of those below "
                f"offset {self.base.start}, which its log no longer holds, and whose ids would tell whether it is a "
                "duplicate: retention overtook the counting",
                "Raise the topic's retention, stop all workers, and run `pintally accept-loss` to give up what is "
                "gone.",
            )
        self._is_cut = False

    def _register(self, judged: Judged, piece: Piece) -> NDArray[np.bool_]:
        """Register the ids of all records that are not invalid; returns which are duplicates."""
        ids, invalid = judged.decoded.event_id[piece.records], judged.invalid[piece.records]
        if not self.rules.dedup:
            return np.zeros(len(ids), np.bool_)
        name = piece.slice_id
        if not invalid.any():
            return self._seen.register(ids, name.slice_block, name.bucket)
        duplicate = np.zeros(len(ids), np.bool_)
        duplicate[~invalid] = self._seen.register(ids[~invalid], name.slice_block, name.bucket)
        return duplicate

    def _unflushed(self, chunk: Chunk, piece: Piece) -> Unflushed:
        """The records of a piece that were not flushed before."""
        first = piece.first
        if piece.start < self._known_below:
            first = max(first, int(chunk.offsets.searchsorted(self._known_below)))
        return Unflushed.of(chunk.timestamps[first : piece.last])

    def _count(self, judged: Judged, duplicate: NDArray[np.bool_], piece: Piece) -> SliceState:
        """Count the records that are neither invalid nor late nor duplicates. Returns their slice."""
        invalid, late = judged.invalid[piece.records], judged.late[piece.records]
        duplicate = duplicate & ~late
        counted = (~(invalid | late | duplicate)).nonzero()[0]
        counted += piece.first
        state = self._pending.slice_state(piece)
        state.add(judged, counted)
        duplicates, lates, invalids = (int(np.count_nonzero(mask)) for mask in (duplicate, late, invalid))
        state.advance(piece, len(counted), duplicates, lates, invalids)
        self._tally.add(Outcomes(len(counted), duplicates, lates, invalids, piece.gaps))
        if piece.end % self.rules.slice_records == 0:
            self._pending.end()
        return state

    def capture(self, ended_only: bool = False) -> Capture | None:
        """Take what is not flushed, as it is at this moment; None if all is flushed.

        `ended_only` leaves the open slice alone. Raises RuntimeError while another capture is in flight (C7).
        """
        return self._pending.capture(ended_only)

    def acknowledge(self, capture: Capture) -> None:
        """The sink has all of it: slices that have ended leave memory. RuntimeError if it is not in flight."""
        self._pending.acknowledge(capture)

    def merge_back(self, capture: Capture) -> None:
        """The flush failed: all of it is dirty again, newer wins (C7). RuntimeError if it is not in flight."""
        self._pending.merge_back(capture)
