"""Sources whose broker stamps records with a time that is long over: an idle one among them is not known to be idle.

Kafka does not tell its clock. But what came between two looks was stamped between them: where the newest stamp lies
before the first of the two looks, by more than the idle margin, the broker's clock is behind. The next record will be
stamped early as well, and may count into minutes that the time of day says nothing can reach any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pintally.schemas.rows import LedgerRow
from pintally.schemas.sources import Source


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found of a source that was counted to its end."""

    stamped: int  # records that surely have a Kafka timestamp
    looked_at_ms: int
    behind_ms: int  # how far its broker's clock is behind, at least; 0: nothing is known against it


class BrokersBehind:
    """Remembers, in this process, when each source was last seen to grow. Not to be shared between threads."""

    def __init__(self) -> None:
        self.seen: dict[Source, Seen] = {}

    def look(self, source: Source, rows: Sequence[LedgerRow], clock: int, looked_at_ms: int, margin_ms: int) -> bool:
        """Whether its broker is known to be behind. `rows` and `clock` are the ledger's, whose position is the end.

        A source of which only gaps came, or records without a timestamp, stays what it was.
        """
        stamped = sum(row.outcomes.counted + row.outcomes.duplicate + row.outcomes.late for row in rows)
        before = self.seen.get(source)
        behind = before.behind_ms if before else 0
        if before and stamped > before.stamped:
            behind = before.looked_at_ms - clock if clock < before.looked_at_ms - margin_ms else 0
        self.seen[source] = Seen(stamped, looked_at_ms, behind)
        return behind > 0
