"""What the simulation runs without: every control of the drill that it can see, and those of its own edges."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pintally.streams.operations.change import epoch_starts
from pintally.streams.worker import assignment
from tests.controls import CONTROLS as SHARED
from tests.controls import Control, log
from tests.controls.switch import replaced
from tests.simulation.kinds import seals, seeds_with
from tests.simulation.replica_controls import REPLICA_CONTROLS
from tests.simulation.schedule import Schedule
from tests.simulation.sealing.controls import SEALING_CONTROLS
from tests.simulation.sealing.schedule import Schedule as Sealing
from tests.simulation.shard_controls import SHARD_CONTROLS
from tests.simulation.sink import SimSink
from tests.simulation.world import World

# Those of a real consumer; and one that needs the session watch to be off too.
ELSEWHERE = {name for name, made in SHARED.items() if made.__module__ == log.__name__} | {"kept-state-never-checked"}


@contextmanager
def connection_comes_back_by_itself() -> Iterator[None]:
    """C6: the driver reconnects in the middle of a flush."""
    with replaced((SimSink, "reconnects", True)):
        yield


@contextmanager
def epochs_not_claimed() -> Iterator[None]:
    """C12: whoever begins an epoch last gives it his rules."""
    with replaced(*((module, "claim", lambda *_: None) for module in (assignment, epoch_starts))):
        yield


@contextmanager
def sleepers_come_back() -> Iterator[None]:
    """C16 and C17: who slept through a change of rules comes back, and nothing of what it kept is checked."""
    with replaced((World, "sleepers_end", False)), SHARED["kept-state-never-checked"]():
        yield


CONTROLS: dict[str, Control] = {
    **{name: made for name, made in SHARED.items() if name not in ELSEWHERE},
    "epochs-not-claimed": epochs_not_claimed,
    "connection-comes-back-by-itself": connection_comes_back_by_itself,
    "sleepers-come-back": sleepers_come_back,
    **SHARD_CONTROLS,
    **REPLICA_CONTROLS,
    **SEALING_CONTROLS,
}


def schedules(seed: int, control: str | None, tell: Callable[[str], None] | None = None) -> Iterator[Any]:
    """The schedules of a seed: of workers, and of sealers if it is for these, or if the control is one of theirs."""
    if control not in SEALING_CONTROLS:
        yield Schedule(seed, tell)
    if control in SEALING_CONTROLS or (control is None and seals(seed)):
        yield Sealing(seed, tell or (lambda _: None))


def seeds_for(control: str | None, seeds: range) -> Sequence[int]:
    """Those of some seeds whose schedules may be red without a protection: on several servers, if it is theirs."""
    if control in SHARD_CONTROLS:
        return seeds_with(seeds, shards=2)
    return seeds_with(seeds, replicas=2) if control in REPLICA_CONTROLS else seeds
