"""Protections of the counting path that can be switched off, one at a time: proof that each is needed and tested.

The simulation runs its schedules without each of them, `worker.py` a real worker. All of them patch this process, while
their context is open.
"""

from tests.controls import counting, flushing, log, recovery  # noqa: F401 - they fill CONTROLS
from tests.controls.switch import CONTROLS, Control

__all__ = ["CONTROLS", "Control"]
