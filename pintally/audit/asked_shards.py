"""The servers of ClickHouse that have what is counted: one, or several that share the pins (C33)."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import UUID

from pintally.audit.addresses import Addresses
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.flushed import Flushed
from pintally.audit.log import Partition
from pintally.audit.row_policies import refuse_hidden_rows
from pintally.audit.shards import number_of, refuse_other_order
from pintally.audit.tables import read_flushed


@dataclass(frozen=True, slots=True)
class AskedShard:
    """A connection to one server, and what its ledger has of each source that has begun."""

    clickhouse: ClickHouse
    flushed: Mapping[tuple[str, UUID, int], Flushed]

    def of(self, at: Partition) -> Flushed | None:
        """What it has of a partition; None if no worker has begun to count it."""
        return self.flushed.get((at.topic, at.topic_id, at.partition))


class AskedShards:
    """All servers, shard 0 first."""

    def __init__(self, shards: list[AskedShard]) -> None:
        self._shards = shards

    @property
    def first(self) -> AskedShard:
        """The one that has the dead letters, and the arms of experiments."""
        return self._shards[0]

    def number_of(self, pin: int) -> int | None:
        """The number of the shard of a pin; None if there is one server."""
        return number_of(pin, len(self._shards)) if len(self._shards) > 1 else None

    def of_pin(self, pin: int) -> AskedShard:
        """The one that has the counts of a pin."""
        return self._shards[self.number_of(pin) or 0]


@contextmanager
def asked_shards(addresses: Addresses) -> Iterator[AskedShards]:
    """Connect to each, and read its ledger.

    Raises CannotTell if one hides rows, is another shard or does not answer.
    """
    with ExitStack() as stack:
        found = []
        for each in addresses.of_shards():
            clickhouse = stack.enter_context(ClickHouse(each))
            refuse_hidden_rows(clickhouse, each.user)
            refuse_other_order(clickhouse, each)
            started = [source for source in read_flushed(clickhouse) if source.starts]
            found.append(AskedShard(clickhouse, {(at.topic, at.topic_id, at.partition): at for at in started}))
        yield AskedShards(found)
