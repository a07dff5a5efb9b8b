"""The faults, by name."""

from pintally.tools.drill.faults import engines, group, network, producers, refusals, workers  # noqa: F401 - they register
from pintally.tools.drill.stage import REGISTRY, Fault

FAULTS: dict[str, Fault] = dict(sorted(REGISTRY.items()))
