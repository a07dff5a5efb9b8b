"""ClickHouse in a simulation: the sink in memory, whose every call is a point where the schedule decides."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pintally.schemas.cells import CellRows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import DeadLetterRow, LedgerRow, LostRow, StartRow
from pintally.schemas.sources import Source
from tests.simulation.logs import HOUR, T0
from tests.simulation.loop import blocking_call
from tests.simulation.truth import Key, Truth, Violation, key_of
from tests.support.memory_sink import SLICE, CellKey, Claim, MemorySession, MemorySink, Origin, SliceKey, Values

STALE_READS = ("read_ledgers", "read_back")
READS = (*STALE_READS, "refuse_absent", "slice_sums", "read_slice", "letter_offsets", "read_dead_letters")
REMEMBERED = 4  # older states of the ledger that a stale read may show


@dataclass(frozen=True)
class Copy:
    """All tables as they were at some moment."""

    starts: list[StartRow]
    tables: dict[type[CellRows], dict[CellKey, Values]]  # of cells
    ledger: dict[SliceKey, LedgerRow]
    dead_letters: dict[Origin, DeadLetterRow]
    lost: list[LostRow]
    claims: set[Claim]
    is_damaged: bool


class SimSink(MemorySink):
    """The tables, and what may happen to them. Whatever changes is compared with the truth at once."""

    reconnects = False  # a control sets it

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self.truth = truth
        self.epoch = 0  # connections do not outlive it
        self.down = False
        self.copies: list[Copy] = []
        self.recent: deque[Copy] = deque(maxlen=REMEMBERED)  # before the last flushes
        self.late: list[tuple[str, Any]] = []  # inserts that went unanswered and are applied later
        self._older: list[tuple[list[StartRow], dict[SliceKey, LedgerRow], list[LostRow]]] = []

    def open_session(self) -> "MemorySession":
        """What a worker gets; the schedule gives the answers."""
        return SimSession(self, blocking_call("open", at_once=self._open))

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row."""
        found: Iterable[Source] = blocking_call("known_sources", at_once=self.known)
        return found

    def known(self) -> list[Source]:
        """The same, asked by the schedule."""
        return list(super().known_sources())

    def _open(self) -> int | SinkUnavailable:
        return SinkUnavailable("down") if self.down else self.epoch

    def read(self, name: str, *args: Any, stale: int = 0, **kwargs: Any) -> Any:
        """Answer a read; `stale` says how many changes of the ledger it may miss."""
        source: MemorySink = self
        if stale and self._older and name in STALE_READS:
            source = MemorySink()
            source.starts, source.ledger, source.lost = self._older[-min(stale, len(self._older))]
            source.claims = self.claims  # read back by who has just written to them
        return getattr(MemorySession(source), name)(*args, **kwargs)

    def apply(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Apply a change. Raises Violation if readers may see what is not true, or the ledger vouches for it."""
        if name in ("write_ledger", "write_starts"):
            self._remember()
        if name == "write_starts":
            check_rules([*self.starts, *args[0]])
        if name == "write_cells" and self.is_whole:
            self.recent.append(self._state())
        before = {key: self.truth.shown(self, key) for key in keys_of(args)} if name == "write_cells" else {}
        getattr(MemorySession(self), name)(*args, **kwargs)
        if name == "write_cells":
            self.truth.check_cells(self, before)
        elif name == "write_ledger":
            self.truth.check_ledger(self, args[0])
        elif name == "write_starts":
            self.truth.begin(self)
        elif name.startswith("delete"):
            self.truth.reset(self)

    def _remember(self) -> None:
        self._older = [*self._older[1 - REMEMBERED :], (list(self.starts), dict(self.ledger), list(self.lost))]

    @property
    def has_hole(self) -> bool:
        """Whether some slice has a row and the one before it is not recorded to its end."""
        ends = {(row.source, row.position) for row in self.ledger.values()} | {(r.source, r.start) for r in self.starts}
        return any((row.source, row.start) not in ends for row in self.ledger.values())

    @property
    def is_whole(self) -> bool:
        """Whether a backup may be made now: every source has begun, and its ledger has no hole.

        Read-back looks at the highest version alone, and would not see that a hole is back. ClickHouse has no such
        moment: a flush's ledger rows are one block of an unpartitioned table.
        """
        return len(self.known()) == len(self.truth.logs) and not self.has_hole

    def copy(self) -> None:
        """Somebody makes a backup."""
        self.copies.append(self._state())

    def _state(self) -> Copy:
        cells = {kind: dict(rows) for kind, rows in self.tables.items()}
        tables = list(self.starts), cells, dict(self.ledger), dict(self.dead_letters), list(self.lost)
        return Copy(*tables, set(self.claims), self.truth.is_damaged)

    def step(self) -> None:
        """Time passes."""

    def calm(self) -> None:
        """Nothing fails any more by itself."""

    def settled(self) -> None:
        """Somebody has changed the tables by hand."""

    def check_end(self) -> None:
        """In the end all of it is as it must be."""
        self.truth.check_end(self)

    def restore(self, copy: Copy) -> None:
        """Back to a backup: connections break, and what was on its way is gone."""
        self.starts, self.lost = list(copy.starts), list(copy.lost)
        self.tables = defaultdict(dict, {kind: dict(rows) for kind, rows in copy.tables.items()})
        self.ledger, self.dead_letters = dict(copy.ledger), dict(copy.dead_letters)
        self.claims = set(copy.claims)
        self.epoch += 1
        self._older.clear()
        self.recent.clear()
        self.late.clear()
        self.truth.is_damaged = copy.is_damaged
        self.truth.begin(self, restored=True)


class SimSession(MemorySession):
    """One connection of a worker."""

    sink: SimSink

    def __init__(self, sink: SimSink, epoch: int) -> None:
        super().__init__(sink)
        self.epoch = epoch

    @property
    def is_broken(self) -> bool:
        """Whether whatever is asked of it is lost."""
        return self.sink.down or (self.epoch != self.sink.epoch and not self.sink.reconnects)

    def do_read(self, name: str, stale: int, /, *args: Any, **kwargs: Any) -> Any:
        """The answer to a read, which may be as of so many changes of the ledger ago."""
        return self.sink.read(name, *args, stale=stale, **kwargs)

    def do_write(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Do what was asked. Raises SinkUnavailable if nobody knows whether it is done."""
        self.sink.apply(name, *args, **kwargs)

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        with self._step():
            pass
        return blocking_call(name, args, kwargs, self)

    reopen_from = lambda *_: None  # noqa: E731  nothing is sealed in memory
    reopen_early = lambda *_: None  # noqa: E731
    reopen_unequal = lambda *_: []  # noqa: E731
    newest_cut = lambda *_: 0  # noqa: E731

    def read_clock(self) -> int:
        """What is old by it has been dropped; nothing is."""
        return T0 + HOUR


def _forwarded(name: str) -> Any:
    return lambda self, *args, **kwargs: self._ask(name, *args, **kwargs)


for step, is_known in ((name, name in vars(SimSession)) for name in vars(MemorySession) if not name.startswith("_")):
    if not is_known:
        setattr(SimSession, step, _forwarded(step))


def check_rules(starts: Iterable[StartRow]) -> None:
    """Raises Violation if some epoch of a source has two sets of rules (C12): the last row would stay after a merge."""
    rules: dict[tuple[Source, int], str] = {}
    for row in starts:
        if rules.setdefault((row.source, row.epoch), row.rules) != row.rules:
            raise Violation(f"{row} follows a start row of the same epoch with other rules")


def keys_of(tables: Sequence[CellRows]) -> Iterator[Key]:
    """The cells that an insert writes."""
    for rows in tables:
        yield from (key_of(rows.table, key) for key in rows.tuples((*SLICE, *rows.key)))


def cut(tables: Sequence[CellRows], own: Random) -> list[CellRows]:
    """What is done of inserts into several tables, the last of them not wholly."""
    done = list(tables[: own.randint(1, len(tables))])
    return [*done[:-1], done[-1].select(slice(0, own.randint(0, len(done[-1]))))]


def part_of(rows: Any, at: slice) -> Any:
    """Some of the rows of an insert."""
    if isinstance(rows, CellRows):
        return rows.select(at)
    return rows[at]
