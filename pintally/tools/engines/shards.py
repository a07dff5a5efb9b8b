"""The ClickHouse servers of a local stack: one, or several that hold the counts of different pins (shards)."""

from collections.abc import Mapping
from dataclasses import dataclass

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.ports import LOOPBACK

MOST = 3  # as many as one machine runs beside Kafka and workers


@dataclass(frozen=True, slots=True)
class Shard:
    """One server. Shard 0 is called as a server that is alone."""

    number: int  # from 0
    port: int  # native protocol
    http_port: int

    @property
    def address(self) -> str:
        """As PINTALLY_CLICKHOUSE_OTHER_SHARDS names it: host:port:http_port."""
        return f"{LOOPBACK}:{self.port}:{self.http_port}"

    @property
    def name(self) -> str:
        """For people."""
        return f"ClickHouse shard {self.number}" if self.number else "ClickHouse"

    @property
    def folder(self) -> str:
        """The name of its folder and of its log."""
        return shard_folder(self.number)


def shard_folder(number: int) -> str:
    """Where the data of a shard lies: a folder of this name."""
    return _numbered("clickhouse", number, "-")


def shard_ports(count: int) -> list[tuple[str, str]]:
    """What the native port and the HTTP port of each shard are called."""
    return [(_numbered("clickhouse", n, "_"), _numbered("clickhouse_http", n, "_")) for n in range(count)]


def shards_at(ports: Mapping[str, int], count: int) -> list[Shard]:
    """The shards on these ports."""
    return [Shard(number, ports[native], ports[http]) for number, (native, http) in enumerate(shard_ports(count))]


def check_shards(count: int) -> None:
    """Raises PintallyError for a number of shards that cannot be started."""
    if not 1 <= count <= MOST:
        raise PintallyError(f"cannot start {count} shards of ClickHouse", f"Choose a number from 1 to {MOST}.")


def _numbered(name: str, number: int, separator: str) -> str:
    return f"{name}{separator}{number}" if number else name
