"""A sink in memory whose steps can fail, before or after they are applied, and a journal of what became durable."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pintally.schemas.cells import CellRows
from pintally.schemas.rows import DeadLetterRow, LedgerRow, Newest
from pintally.schemas.sources import Source
from tests.support.letter_batches import LetterBatch
from tests.support.memory_sink import MemorySession, MemorySink

STEPS = ("connect", "read_back", "cells", "dead_letters", "ledger")


@dataclass(frozen=True)
class Fault:
    """What one step does instead of answering."""

    step: str
    error: Callable[[], BaseException]
    applied: bool = False  # the step is done all the same, its answer lost


@dataclass
class Journal:
    """The steps in the order they were done: their names, and what was in them."""

    steps: list[str] = field(default_factory=list)


class FaultySink(MemorySink):
    """MemorySink with one fault at a time; it stays until it is taken away."""

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__()
        self.journal = journal or Journal()
        self.fault: Fault | None = None
        self.before_cells: Callable[[], object] = lambda: None  # runs in the flush's thread

    def open_session(self) -> "FaultySession":
        """A session that asks for the fault at each step."""
        if self.fault and self.fault.step == "connect":
            raise self.fault.error()
        return FaultySession(self)

    def counts(self) -> dict[tuple[int, ...], int]:
        """Cells of the sink without their versions."""
        return {key: count for key, (_, count, _) in self.cells.items()}


class FaultySession(MemorySession):
    """One session of a FaultySink."""

    sink: FaultySink

    def read_back(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> dict[Source, Newest]:
        """The read-back of a flush."""
        return dict(self._do("read_back", lambda: super(FaultySession, self).read_back(sources, first)))

    def write_cells(self, *tables: CellRows) -> None:
        """Cells of a flush."""
        self.sink.before_cells()
        self._do("cells", lambda: super(FaultySession, self).write_cells(*tables))

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Dead letters of a flush."""
        self._do("dead_letters", lambda: super(FaultySession, self).write_dead_letters(rows))

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """The ledger rows of a flush."""
        self._do("ledger", lambda: super(FaultySession, self).write_ledger(rows))

    def _do(self, step: str, apply: Callable[[], Any]) -> Any:
        fault = self.sink.fault if self.sink.fault and self.sink.fault.step == step else None
        if fault and not fault.applied:
            raise fault.error()
        answer = apply()
        self.sink.journal.steps.append(step)
        if fault:
            raise fault.error()
        return answer


class LetterTopics:
    """aiokafka's producer in memory: a batch of letters is acknowledged a turn of the loop later."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self.letters: list[DeadLetterRow] = []
        self.error: BaseException | None = None  # the acknowledgement that comes instead
        self.refuses = {0, 1}  # the partitions of topics for which it comes

    def create_batch(self) -> LetterBatch:
        """An empty one."""
        return LetterBatch()

    async def partitions_for(self, topic: str) -> set[int]:
        """Two."""
        assert topic.endswith(".dlq")
        return {0, 1}

    async def send_batch(self, batch: LetterBatch, _topic: str, *, partition: int) -> "asyncio.Future[None]":
        """The acknowledgement to come."""
        assert all(letter.source.partition % 2 == partition for letter in batch.letters)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        loop.call_soon(self._answer, answer, batch, self.error if partition in self.refuses else None)
        return answer

    def _answer(self, answer: "asyncio.Future[None]", batch: LetterBatch, error: BaseException | None) -> None:
        if error:
            answer.set_exception(error)
            return
        self.journal.steps.append("acknowledged")
        self.letters += batch.letters
        answer.set_result(None)
