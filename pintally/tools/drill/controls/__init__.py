"""Protections of the counting path that can be switched off, one at a time: proof that each is needed and tested.

The simulation runs its schedules without each of them, the drill a worker. All of them patch this process, while their
context is open; nothing but those two may open one.
"""

from pintally.tools.drill.controls import counting, flushing, log, recovery  # noqa: F401 - they fill CONTROLS
from pintally.tools.drill.controls.switch import CONTROLS, Control

__all__ = ["CONTROLS", "Control"]
