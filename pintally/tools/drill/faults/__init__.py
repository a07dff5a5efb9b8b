"""The faults, by name."""

from pintally.tools.drill.fault_context import REGISTRY, Fault
from pintally.tools.drill.faults import brokers, engines, group, network, producers, workers  # noqa: F401 - they register

FAULTS: dict[str, Fault] = dict(sorted(REGISTRY.items()))
