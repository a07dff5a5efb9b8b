"""Where the engines listen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pintally.tools.engines.shards import Shard


@dataclass(frozen=True, slots=True)
class EngineAddresses:
    """Addresses of one Kafka, and of one ClickHouse or its shards. The password is never shown by repr."""

    kafka: str  # bootstrap servers, host:port
    clickhouse_host: str  # of shard 0 where there are several
    clickhouse_port: int  # native protocol
    clickhouse_http_port: int
    clickhouse_user: str = "default"
    clickhouse_password: str = field(default="", repr=False)
    kafka_replication: int = 1  # how many replicas a topic can have here
    other_shards: Sequence[str] = ()  # of ClickHouse: host:port:http_port of shard 1 and so on

    def settings(self) -> dict[str, Any]:
        """The addresses by the names that they have in `streams.settings.SETTINGS`."""
        return {
            "kafka_bootstrap_servers": self.kafka,
            **{name: value for name, value in asdict(self).items() if name.startswith("clickhouse")},
            **({"replication": self.kafka_replication} if self.kafka_replication > 1 else {}),
            **self._shards(),
        }

    def at(self, shard: Shard) -> "EngineAddresses":
        """The same, with this server of ClickHouse alone."""
        return replace(self, clickhouse_port=shard.port, clickhouse_http_port=shard.http_port, other_shards=())

    def _shards(self) -> dict[str, Any]:
        if not self.other_shards:
            return {}
        return {"shards": 1 + len(self.other_shards), "clickhouse_other_shards": ",".join(self.other_shards)}

    def environment(self) -> dict[str, str]:
        """The addresses as the `PINTALLY_*` variables that `streams.settings` reads."""
        return {f"PINTALLY_{name.upper()}": str(value) for name, value in self.settings().items()}
