"""A tick: what changed since the last one goes to the sink, then to the ledger, in this order and no other."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from aiokafka.errors import KafkaError

from schemas.errors import PintallyError
from schemas.rows import CellRows
from sinks.base import Sink, SinkSession, SinkUnavailable
from streams.dead_letters import DeadLetterTopics
from streams.fold import Capture, SourceFold

log = logging.getLogger(__name__)


class SinkWentBack(PintallyError):
    """The ledger is older than what was recorded: the sink was restored from a copy. Start again and re-fold."""


@dataclass(slots=True)
class Emitted:
    """What ticks have done so far, for status and metrics."""

    ticks: int = 0
    failed: int = 0
    rows: int = 0
    seconds: float = 0.0


class Emitter:
    """Runs ticks, one at a time, over the folds of the assigned sources."""

    def __init__(
        self,
        sink: Sink,
        dead_letters: DeadLetterTopics,
        folds: Callable[[], Iterable[SourceFold]],
        lag: Callable[[SourceFold], int],
        max_unemitted_cells: int,
    ) -> None:
        self.sink = sink
        self.dead_letters = dead_letters
        self.folds = folds
        self.lag = lag
        self.max_unemitted_cells = max_unemitted_cells
        self.emitted = Emitted()
        self._in_flight = asyncio.Lock()

    async def tick(self) -> bool:
        """Emit what changed. True if all of it is durable, False if it was merged back for the next tick.

        1. All folds are captured at one moment: dirty cells, ledger rows, dead letters (rule 6).
        2. Dead letters are on their topic (rule 11).
        3. On one connection: the ledger has not gone back, cells, dead letters, then the ledger (rule 6).
        4. Only the answer clears what was dirty; anything else merges it back (rule 7).

        Raises SinkWentBack, and SinkError where repeating does not help.
        """
        async with self._in_flight:
            captures = [(fold, capture) for fold in list(self.folds()) if (capture := self._capture(fold))]
            if not captures:
                return True
            started = monotonic()
            try:
                await self.dead_letters.send([letter for _, capture in captures for letter in capture.dead_letters])
                await asyncio.to_thread(write, self.sink, captures)
            except BaseException as error:
                for fold, capture in captures:
                    fold.merge_back(capture)
                self.emitted.failed += 1
                if not isinstance(error, (SinkUnavailable, KafkaError)):
                    raise
                reason = error.what if isinstance(error, SinkUnavailable) else repr(error)
                log.warning("tick not recorded, its cells stay for the next one: %s", reason)
                return False
            for fold, capture in captures:
                fold.acknowledge(capture)
            self.emitted.ticks += 1
            self.emitted.rows += sum(len(capture.cells) for _, capture in captures)
            self.emitted.seconds += monotonic() - started
            return True

    @property
    def unemitted_cells(self) -> int:
        """Cells in memory that the sink does not know yet."""
        return sum(fold.unemitted_cells for fold in self.folds())

    def _capture(self, fold: SourceFold) -> Capture | None:
        """Far behind only ended slices go out, unless cells pile up before any slice ends (rule 9)."""
        far_behind = self.lag(fold) > fold.rules.slice_records
        return fold.capture(ended_only=far_behind and self.unemitted_cells < self.max_unemitted_cells // 2)


def write(sink: Sink, captures: Sequence[tuple[SourceFold, Capture]]) -> None:
    """Step 3 of a tick, on one connection; blocking. Whatever is raised, nothing counts as emitted."""
    with sink.session() as session:
        _check_ledger(session, [fold for fold, _ in captures])
        session.write_cells(CellRows.concat([capture.cells for _, capture in captures]))
        session.write_dead_letters([letter for _, capture in captures for letter in capture.dead_letters])
        session.write_ledger([row for _, capture in captures for row in capture.ledger])


def _check_ledger(session: SinkSession, folds: Sequence[SourceFold]) -> None:
    versions = session.last_versions([fold.source for fold in folds])
    for fold in folds:
        found = versions.get(fold.source, -1)
        if fold.emitted_version is not None and found < fold.emitted_version:
            raise SinkWentBack(
                f"the ledger of {fold.source} is at version {found}, {fold.emitted_version} was recorded",
                "ClickHouse was restored from an older copy; the worker starts again and folds what is missing.",
            )
