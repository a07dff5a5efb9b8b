"""The faults, by name."""

from streams.drill.faults import engines, group, network, producers, refusals, workers  # noqa: F401 - they register
from streams.drill.stage import REGISTRY, Fault

FAULTS: dict[str, Fault] = dict(sorted(REGISTRY.items()))
