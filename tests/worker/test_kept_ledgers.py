"""A look at the ledger costs what came since the last one, however old the sources are."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import follow
from pintally.streams.worker import kept_ledgers
from pintally.streams.worker.kept_ledgers import WHOLE_SECONDS, KeptLedgers
from tests.support.memory_sink import MemorySink

SOURCE = Source("saves", UUID(int=1), 0)
BUCKET = 600


class Asked:
    """A sink whose ledger is read by `kept`, at a time that the test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.rows_read, self.sink = 0.0, 0, MemorySink()
        monkeypatch.setattr(kept_ledgers, "monotonic", lambda: self.now)
        self.kept = KeptLedgers(_whole_at=0.0)
        with self.sink.session() as session:
            session.write_starts([StartRow(SOURCE, 0, 0, 0, Rules().to_json())])

    def write(self, first: int, end: int) -> None:
        """Slices of ten offsets, each of a bucket of its own."""
        rows = [
            LedgerRow(SOURCE, 0, BUCKET * n, 10 * n, BUCKET * 1000 * n, 10 * n + 10, BUCKET * 1000 * (n + 1) - 1,
                      Outcomes(10), 10, 0, "rules")
            for n in range(first, end)
        ]  # fmt: skip
        with self.sink.session() as session:
            session.write_ledger(rows)

    def position(self) -> int:
        """By what is kept and what is read now."""
        self.rows_read = 0
        return follow(self.kept.read(self._read, [SOURCE])[SOURCE]).position

    def _read(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]]
    ) -> Mapping[Source, SourceLedger]:
        with self.sink.session() as session:
            found = session.read_ledgers(sources, first)
        self.rows_read += sum(len(ledger.rows) for ledger in found.values())
        return found


def test_only_what_came_since_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it was read each half minute: 315,000 rows after half a year of twelve sources."""
    asked = Asked(monkeypatch)
    assert asked.position() == 0
    asked.write(0, 500)
    assert (asked.position(), asked.rows_read) == (5000, 500)
    for n in range(500, 510):
        asked.write(n, n + 1)
        assert asked.position() == 10 * n + 10
        assert asked.rows_read <= 3


def test_a_row_that_other_hands_delete_is_noticed_at_the_next_whole_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    asked.write(0, 500)
    asked.position()
    asked.sink.ledger = {key: row for key, row in asked.sink.ledger.items() if row.start != 1000}
    asked.now += WHOLE_SECONDS + 1
    assert (asked.position(), asked.rows_read) == (1000, 499)


def test_a_copy_that_is_older_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    asked.write(0, 500)
    asked.position()
    asked.sink.ledger = {key: row for key, row in asked.sink.ledger.items() if row.start < 1000}
    assert asked.position() == 1000
