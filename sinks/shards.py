"""Several sinks that share the pins (C33): each has the cells of its pins, and a ledger of its own (C34).

Each step of a flush is taken on all shards side by side: mostly it waits for a server, which writes and syncs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pintally.schemas.cells import CellRows
from pintally.schemas.rows import DeadLetterRow, LedgerRow, LostRow, Newest, ReplacedRow, SourceLedger, StartRow
from pintally.schemas.shards import split
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession

FurthestBehind = Callable[[Sequence[SourceLedger]], SourceLedger]
Answer = TypeVar("Answer")


def side_by_side(steps: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Take each step in a thread of its own. Returns their answers when all have ended.

    Raises the error of the first one that failed, also when all have ended: none writes on after that.
    """
    with ThreadPoolExecutor(max(1, len(steps)), "shard") as threads:
        taken = [threads.submit(step) for step in steps]
    return [each.result() for each in taken]


class ShardedSession:
    """A session on each shard. A step is done when all shards have done it; after any error all sessions are over."""

    def __init__(
        self, sessions: Sequence[SinkSession], furthest_behind: FurthestBehind, *, only_reads: bool = False
    ) -> None:
        self._sessions = sessions
        self._furthest_behind = furthest_behind
        self._only_reads = only_reads

    def read_clock(self) -> int:
        """The earliest of the shards' clocks, in ms since 1970."""
        return min(session.read_clock() for session in self._sessions)

    def read_ledgers(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, SourceLedger]:
        """Of each source the ledger of the shard that is furthest behind (C35), beside those of all.

        A start row that only some shards have, because its worker was killed between two of them or a shard was
        restored, is written to the others first, unless this session only reads. What was given up or replaced is so on
        all shards, if one of them knows it.
        """
        each = self._on_all(lambda session: session.read_ledgers(sources, first))
        if not self._only_reads and self._complete_starts(sources, each):
            each = self._on_all(lambda session: session.read_ledgers(sources, first))
        return {source: self._furthest_behind(_in_common([ledgers[source] for ledgers in each])) for source in sources}

    def _complete_starts(self, sources: Sequence[Source], each: Sequence[Mapping[Source, SourceLedger]]) -> bool:
        """Whether some shard lacked a start row that it has now."""
        lacks = False
        lowest = [row for source in sources for row in _lowest_starts(ledgers[source] for ledgers in each)]
        for session, ledgers in zip(self._sessions, each, strict=True):
            if missing := [row for row in lowest if row not in ledgers[row.source].starts]:
                session.write_starts(missing)
                lacks = True
        return lacks

    def read_back(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, Newest]:
        """The lowest of the shards: if one of them went back, all did."""
        each = self._on_all(lambda session: session.read_back(sources, first))
        return {source: _lowest(found[source] for found in each) for source in sources}

    def write_claims(self, rows: Sequence[StartRow]) -> None:
        """On shard 0, which decides for all."""
        self._sessions[0].write_claims(rows)

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        """On each shard."""
        for session in self._sessions:
            session.write_starts(rows)

    def write_cells(self, *tables: CellRows) -> None:
        """Each shard's cells to it."""
        parts = [split(rows, len(self._sessions)) for rows in tables]
        of_shards = zip(self._sessions, zip(*parts, strict=True), strict=True)
        side_by_side([partial(_write_cells, session, of_shard) for session, of_shard in of_shards])

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """On shard 0: a record that is not counted may have no pin."""
        self._sessions[0].write_dead_letters(rows)

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """On each shard, the same rows: outcomes and sums are those of all shards."""
        self._on_all(lambda session: session.write_ledger(rows))

    def _on_all(self, step: Callable[[SinkSession], Answer]) -> list[Answer]:
        return side_by_side([partial(step, session) for session in self._sessions])


class ShardedSink:
    """Opens sessions on all shards. Safe to share between threads; a session is not."""

    def __init__(self, shards: Sequence[Sink], furthest_behind: FurthestBehind, *, only_reads: bool = False) -> None:
        """`furthest_behind` chooses among the ledgers of one source, one a shard; its `of_shards` has them all."""
        self.shards = shards
        self._only_reads = only_reads
        self._furthest_behind = furthest_behind

    @contextmanager
    def session(self) -> Iterator[ShardedSession]:
        """Connect to all shards. Raises SinkUnavailable if one does not answer: counting waits for all of them."""
        with ExitStack() as stack:
            sessions = side_by_side([partial(stack.enter_context, shard.session()) for shard in self.shards])
            yield ShardedSession(sessions, self._furthest_behind, only_reads=self._only_reads)

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row on some shard, by topic and partition."""
        known = {source for shard in self.shards for source in shard.known_sources()}
        return sorted(known, key=lambda source: (source.topic, source.partition, source.topic_id))

    def replaced(self) -> Sequence[ReplacedRow]:
        """Those that some shard knows."""
        known = dict.fromkeys(row for shard in self.shards for row in shard.replaced())
        return sorted(known, key=lambda row: (row.epoch, row.source.topic, row.source.partition))


def _in_common(ledgers: Sequence[SourceLedger]) -> tuple[SourceLedger, ...]:
    """The ledgers of one source, each with what any of them says is lost or replaced."""
    lost = known_lost(ledgers)
    replaces = next((ledger.replaces for ledger in ledgers if ledger.replaces), None)
    replaced = max((ledger.replaced for ledger in ledgers), key=len)
    disputed = max(ledger.disputed for ledger in ledgers)
    return tuple(
        replace(ledger, lost=lost, replaces=replaces, replaced=replaced, disputed=disputed) for ledger in ledgers
    )


def known_lost(ledgers: Iterable[SourceLedger]) -> tuple[LostRow, ...]:
    """What any of these ledgers says is lost, each range once: with the note that says most."""
    rows = sorted((row for ledger in ledgers for row in ledger.lost), key=lambda row: (len(row.note), row.note))
    known = {(row.epoch, row.start, row.end, row.kind, row.source.id): row for row in rows}
    return tuple(known[name] for name in sorted(known))


def _write_cells(session: SinkSession, tables: Iterable[CellRows]) -> None:
    session.write_cells(*tables)


def _lowest_starts(ledgers: Iterable[SourceLedger]) -> list[StartRow]:
    """The lowest start row of each epoch, whichever shard has it."""
    rows = sorted((row for ledger in ledgers for row in ledger.starts), key=lambda row: (row.epoch, row.start))
    return list({row.epoch: row for row in reversed(rows)}.values())


def _lowest(found: Iterable[Newest]) -> Newest:
    each = list(found)
    epochs, versions = [one.epoch for one in each], [one.version for one in each]
    return Newest(_least(epochs), _least(versions))


def _least(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return min(known) if len(known) == len(numbers) else None
