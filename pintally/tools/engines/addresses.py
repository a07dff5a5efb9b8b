"""Where the engines listen."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineAddresses:
    """Addresses of one Kafka and one ClickHouse. The password is never shown by repr."""

    kafka: str  # bootstrap servers, host:port
    clickhouse_host: str
    clickhouse_port: int  # native protocol
    clickhouse_http_port: int
    clickhouse_user: str = "default"
    clickhouse_password: str = field(default="", repr=False)
    kafka_replication: int = 1  # how many replicas a topic can have here

    def settings(self) -> dict[str, Any]:
        """The addresses by the names that they have in `streams.settings.SETTINGS`."""
        return {
            "kafka_bootstrap_servers": self.kafka,
            **{name: value for name, value in asdict(self).items() if name.startswith("clickhouse")},
            **({"replication": self.kafka_replication} if self.kafka_replication > 1 else {}),
        }

    def environment(self) -> dict[str, str]:
        """The addresses as the `PINTALLY_*` variables that `streams.settings` reads."""
        return {f"PINTALLY_{name.upper()}": str(value) for name, value in self.settings().items()}
