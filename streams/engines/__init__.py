"""Apache Kafka and ClickHouse as child processes, without Docker."""

from streams.engines.addresses import EngineAddresses
from streams.engines.local import Engines, local_engines

__all__ = ["EngineAddresses", "Engines", "local_engines"]
