"""Apache Kafka and ClickHouse as child processes, without Docker."""

from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.local import Engines, local_engines

__all__ = ["EngineAddresses", "Engines", "local_engines"]
