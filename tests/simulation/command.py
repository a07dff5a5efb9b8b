"""A person in a simulation: `rules apply`, `accept-loss` and `repair`, stopped at any of their steps and run again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pintally.cli.accept_loss import MAX_PASSES
from pintally.streams.counting.log import Chunk
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.change.epoch_starts import apply_change
from pintally.streams.operations.change.lost import change_of, plan_lost
from pintally.streams.operations.change.rules import plan_rules
from pintally.streams.operations.repair import source as repairing
from pintally.streams.operations.repair.choice import Choice
from pintally.streams.operations.repair.repair import repair
from tests.controls.switch import replaced
from tests.simulation.logs import HOUR, T0
from tests.simulation.loop import Job, SimLoop, blocking_call

if TYPE_CHECKING:
    from tests.simulation.world import World

NOW = (T0 + HOUR) // 1000


class Command:
    """One run of a command, up to its next call to the world."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self.name = name
        self._future = SimLoop().create_future()  # type: ignore[abstract]  # has what counting needs
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
        sink = world.servers.maintained()
        with sink.session() as session:
            found = read_cluster_state(settings.kafka, settings.topics, sink, session)
            known = found.ledgers, found.offsets, found.committed
            apply_change(session, plan_rules(settings.rules.in_topic, *known, session.slice_sums))

    return Command("rules apply", run)


def give_up(world: "World") -> Command:
    """`pintally accept-loss --yes`, after it has found the group empty."""
    settings: Any = world.settings

    def run() -> None:
        sink = world.servers.maintained()
        with sink.session() as session:
            for _ in range(MAX_PASSES):
                found = read_cluster_state(settings.kafka, settings.topics, sink, session)
                known = found.ledgers, found.offsets, found.committed
                plan = plan_lost(settings.rules.in_topic, *known, session.slice_sums, NOW)
                if not plan:
                    break
                apply_change(session, change_of(plan))

    return Command("lost", run)


def repair_all(world: "World") -> Command:
    """`pintally repair`: what it finds wrong, workers going on meanwhile.

    It asks for sums, in which counts that are too high hide cells that are gone: then all that `verify` could name.
    """
    settings: Any = world.settings
    choice = Choice(every="wrong counts" in world.ruined and len(world.ruined) > 1)

    def run() -> int:
        sink = world.servers.maintained()
        with sink.session() as session:
            found = read_cluster_state(settings.kafka, settings.topics, sink, session)
            return repair(settings.kafka, settings.topics, settings.rules, session, found, choice).exit_code

    return Command("repair", run)


class Runner:
    """Stands for `asyncio.Runner`: what it runs has nothing to wait for."""

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run to the end at once."""
        steps = awaitable.__await__()
        try:
            next(steps)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")


@contextmanager
def edges(read: Callable[[Any, int, int], Chunk]) -> Iterator[None]:
    """Put the world in the place of what repair asks; `read(source, start, end)` gives a part of a log."""

    async def read_chunks(_: Any, source: Any, start: int, end: int) -> AsyncIterator[Chunk]:
        middle = (start + end) // 2
        for begin, stop in ((start, middle), (middle, end)):
            if stop > begin:
                yield read(source, begin, stop)

    with replaced(
        (repairing, "asyncio", SimpleNamespace(Runner=Runner)),
        (repairing, "read_chunks", read_chunks),
        (repairing, "read_offsets", lambda _, sources: blocking_call("read_offsets", sources)),
    ):
        yield
