"""What the simulation runs without: every control of the drill that it can see, and those of its own edges."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.drill.controls import CONTROLS as SHARED
from streams.drill.controls import Control, log
from streams.drill.controls.switch import replaced
from tests.simulation.sink import SimSink

OF_A_REAL_CONSUMER = {name.replace("_", "-") for name in vars(log)}


@contextmanager
def connection_comes_back_by_itself() -> Iterator[None]:
    """Rule 6: the driver reconnects in the middle of a tick."""
    with replaced((SimSink, "reconnects", True)):
        yield


CONTROLS: dict[str, Control] = {
    **{name: made for name, made in SHARED.items() if name not in OF_A_REAL_CONSUMER},
    "connection-comes-back-by-itself": connection_comes_back_by_itself,
}
