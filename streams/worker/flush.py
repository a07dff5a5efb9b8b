"""A flush: what changed since the last one goes to the sink, then to the ledger, in this order and no other."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from time import monotonic

from pintally.schemas.errors import PintallyError, SinkUnavailable
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession
from pintally.streams.counting.fold import Capture, SourceFold
from pintally.streams.kafka.letters_refused import LettersRefused
from pintally.streams.worker.counters import counters
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.measured import Measured, Timed
from pintally.streams.worker.outage import CLICKHOUSE, LETTERS

LEDGER_CHECK_INTERVAL_SECONDS = 10.0  # of a worker that has nothing to flush


class SinkRolledBack(PintallyError):
    """The ledger is older than what was flushed: the sink was restored from a copy. Start again and re-fold."""


class RulesChanged(PintallyError):
    """Other rules hold than those this worker counts by: what it says from now on is superseded (C19)."""


class Flusher:
    """Runs flushes, one at a time, over the folds of the assigned sources."""

    def __init__(
        self,
        sink: Sink,
        dead_letters: DeadLetterTopics,
        folds: Callable[[], Iterable[SourceFold]],
        lag: Callable[[SourceFold], int],
        max_pending_cells: int,
    ) -> None:
        self.sink = sink
        self.dead_letters = dead_letters
        self.folds = folds
        self.lag = lag
        self.max_pending_cells = max_pending_cells
        # Sources that wait for an acknowledgement of their dead letters: they are left out of flushes.
        self.waiting: Mapping[Source, LettersRefused] = {}
        self._in_flight = asyncio.Lock()
        self._looked = monotonic()  # when the ledger was last found to be as it was left
        self.measured = Measured()

    async def flush(self) -> bool:
        """Flush what changed. True if all of it is durable, False if some was merged back for the next flush.

        1. All folds are captured at one moment: dirty cells, ledger rows, dead letters (C6).
        2. Dead letters are on their topic (C11). Sources whose letters are not, and no others, wait for the next flush.
        3. On one connection: the ledger of no fold was rolled back, cells, dead letters, then the ledger (C6).
        4. Only the answer clears what was dirty; anything else merges it back (C7).

        With nothing to flush the ledger is looked at every 10 s. Raises SinkRolledBack, RulesChanged, and SinkError
        or KafkaError where repeating does not help.
        """
        async with self._in_flight:
            folds = list(self.folds())
            are_many = self.pending_cells >= self.max_pending_cells // 2
            captures = [(fold, capture) for fold in folds if (capture := self._capture(fold, are_many))]
            if not captures:
                self._let_wait({})
                await self._look(folds)
                self.measured.outcomes["empty"] += 1
                return True
            began, timed = monotonic(), self.measured.step
            try:
                with timed("dead_letter_topics"):
                    letters = [letter for _, capture in captures for letter in capture.dead_letters]
                    self._let_wait(await self.dead_letters.send(letters))
                written = [capture for _, capture in captures if capture.source not in self.waiting]
                if written:
                    await asyncio.to_thread(write, self.sink, folds, written, timed)
            except BaseException as error:
                for fold, capture in captures:
                    fold.merge_back(capture)
                self._failed()
                if not isinstance(error, SinkUnavailable):
                    raise
                CLICKHOUSE.away(error.what, "what is folded and not flushed")
                return False
            for fold, capture in captures:
                (fold.merge_back if capture.source in self.waiting else fold.acknowledge)(capture)
            if written:
                self._flushed(written, monotonic() - began)
            if self.waiting:
                self._failed()
            return not self.waiting

    @property
    def pending_cells(self) -> int:
        """Cells in memory that the sink does not know yet."""
        return sum(fold.pending_cells for fold in self.folds())

    def _let_wait(self, refused: Mapping[Source, LettersRefused]) -> None:
        """These sources wait from now on, and no others. Says why, once and then now and then."""
        self.waiting = refused
        self.measured.refused = next(iter(self.waiting.values()), None)
        if self.measured.refused:
            LETTERS.away(self.measured.refused.in_words(self.dead_letters.kafka), "the partitions of these records")
        else:
            LETTERS.back()

    def _failed(self) -> None:
        counters.add("flushes_failed")
        self.measured.outcomes["failed"] += 1

    def _flushed(self, captures: Sequence[Capture], seconds: float) -> None:
        CLICKHOUSE.back()
        self._looked = monotonic()
        self.measured.flushed(seconds, captures)
        counters.add("flushes")
        counters.add("flushed_cells", sum(len(rows) for capture in captures for rows in capture.cells))

    async def _look(self, folds: Sequence[SourceFold]) -> None:
        """Idle sources too may be those of a sink that was rolled back, or of rules that changed."""
        if not folds:
            self.measured.looked()
        if not folds or monotonic() - self._looked < LEDGER_CHECK_INTERVAL_SECONDS:
            return
        try:
            await asyncio.to_thread(look, self.sink, folds)
        except SinkUnavailable as error:
            CLICKHOUSE.away(error.what, "a look at the ledger")
        else:
            CLICKHOUSE.back()
            self._looked = monotonic()
            self.measured.looked()

    def _capture(self, fold: SourceFold, are_many: bool) -> Capture | None:
        """Far behind only ended slices go out, unless cells pile up before any slice ends (C9).

        Of a source that waits all goes out: it is not read any further, so that no slice would end.
        """
        far_behind = self.lag(fold) > fold.rules.slice_records
        return fold.capture(ended_only=far_behind and not are_many and fold.source not in self.waiting)


def write(
    sink: Sink, folds: Sequence[SourceFold], captures: Sequence[Capture], timed: Timed = lambda _: nullcontext()
) -> None:
    """Step 3 of a flush, on one connection; blocking. Whatever is raised, nothing counts as flushed."""
    with ExitStack() as stack:
        with timed("connect"):
            session = stack.enter_context(sink.session())
        with timed("read_back"):
            read_back(session, folds)
        with timed("cells"):
            cells = zip(*(each.cells for each in captures), strict=True)
            session.write_cells(*(rows[0].concat(rows) for rows in cells))
        with timed("dead_letters"):
            session.write_dead_letters([letter for capture in captures for letter in capture.dead_letters])
        with timed("ledger"):
            session.write_ledger([row for capture in captures for row in capture.ledger])


def look(sink: Sink, folds: Sequence[SourceFold]) -> None:
    """The first step of `write` alone; blocking."""
    with sink.session() as session:
        read_back(session, folds)


def read_back(session: SinkSession, folds: Sequence[SourceFold]) -> None:
    """Compare the ledger of every fold with what the fold knows of it, also of those that have nothing to flush.

    The ledger is read from the slice on that the fold flushed last, so that its age makes no difference.

    Raises SinkRolledBack if it lacks something, RulesChanged if it has rules of a later epoch.
    """
    first = {fold.source: fold.flushed_place for fold in folds if fold.flushed_place}
    found = session.read_back([fold.source for fold in folds], first)
    for fold in folds:
        newest = found[fold.source]
        if newest.epoch is None or newest.epoch < fold.epoch:
            raise _rolled_back(fold.source, "epoch", newest.epoch, fold.epoch)
        if newest.epoch > fold.epoch:
            raise RulesChanged(
                f"{fold.source} is counted by epoch {newest.epoch} of the rules, this worker counts by {fold.epoch}",
                "Start it again, with the settings of those rules.",
            )
        if fold.flushed_version is not None and (newest.version is None or newest.version < fold.flushed_version):
            raise _rolled_back(fold.source, "version", newest.version, fold.flushed_version)


def _rolled_back(source: Source, what: str, found: int | None, flushed: int) -> SinkRolledBack:
    counters.add("sink_rolled_back")
    return SinkRolledBack(
        f"the ledger of {source} is at {what} {found}, {flushed} was flushed",
        "ClickHouse was restored from an older copy; the worker starts again and folds what is missing.",
    )
