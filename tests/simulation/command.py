"""A person at work in a simulation: `rules apply`, stopped at any of its steps and run again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streams.boundary import make
from streams.change_rules import plan_rules
from streams.survey import take
from tests.simulation.loop import Job, SimLoop

if TYPE_CHECKING:
    from tests.simulation.world import World


class Command:
    """One run of a command, up to its next call to the world."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self.name = name
        self._future = SimLoop().create_future()  # type: ignore[abstract]
        self.job = Job(run, self._future)

    @property
    def is_done(self) -> bool:
        """Whether it ended by itself, well or not."""
        return self._future.done()

    def result(self) -> Any:
        """What it returned. Raises what it has raised."""
        return self._future.result()


def apply_rules(world: "World") -> Command:
    """`pintally rules apply --yes`, after it has found the group empty."""
    settings: Any = world.settings

    def run() -> None:
        with world.sink.session() as session:
            found = take(settings, world.sink, session)
            make(session, plan_rules(settings.rules_of, found.ledgers, found.offsets, found.committed))

    return Command("rules apply", run)
