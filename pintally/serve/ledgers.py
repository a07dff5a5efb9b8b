"""The ledger of all sources of one server, read anew only from the last complete slices on. Blocking."""

from collections.abc import Sequence
from typing import Final

from pintally.schemas.rows import SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.ledger import Ledger
from pintally.streams.worker import kept_ledgers

WHOLE_SECONDS: Final = 3600.0


class KeptLedgers:
    """What was read before. Not to be shared between threads."""

    def __init__(self, shards: int = 1) -> None:
        """`shards` is how many servers share the pins."""
        self._shards = shards
        self._kept = kept_ledgers.KeptLedgers(WHOLE_SECONDS)

    def read(self, connection: Connection, sources: Sequence[Source]) -> dict[Source, SourceLedger]:
        """Returns the ledger of each source: as it is now, with its complete slices added up."""
        ledger = Ledger(connection)
        ledger.shards = self._shards
        return self._kept.read(ledger.read_ledgers, sources)
