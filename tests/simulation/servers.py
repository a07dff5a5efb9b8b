"""ClickHouse as a world has it: one server, or several that share the pins (C33 to C35)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rules import Rules
from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.shards import refuse_other_place
from pintally.sinks.maintained_shards import MaintainedShards
from pintally.sinks.maintenance import MaintainedSink, MaintenanceSession
from pintally.sinks.shards import ShardedSink
from pintally.streams.counting.shards import furthest_behind
from tests.simulation.logs import SimLog
from tests.simulation.loop import blocking_call
from tests.simulation.replicated import ReplicatedSink
from tests.simulation.shard_truth import ShardTruth, Truths
from tests.simulation.sink import Copy, SimSink
from tests.simulation.truth import Truth

Some = TypeVar("Some")


def answer_of(ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call answers, or that nobody knows."""
    try:
        return ask(*args, **kwargs)
    except SinkUnavailable as unknown:
        return unknown


class Named:
    """A server as somebody's settings name it: some shard of so many. Sessions look whether it is that one."""

    def __init__(self, sink: SimSink, is_: Place, asked: Place) -> None:
        self.asked = asked
        self.known_sources, self.replaced = sink.known_sources, sink.replaced
        self._open = sink.session
        self._connection: Any = SimpleNamespace(
            address=is_, rows=lambda _: [(is_.number, is_.shards)], is_replicated=False, has_replicas=False
        )

    @contextmanager
    def session(self) -> Iterator[MaintenanceSession]:
        """As `ClickHouseSink` opens one."""
        with self._open() as session:
            refuse_other_place(self._connection, self.asked)
            yield session


class Servers:
    """All servers, each with its truth."""

    def __init__(
        self, rng: Random, logs: Sequence[SimLog], rules: Rules, replicas: int, say: Callable[..., None]
    ) -> None:
        self._rng = rng
        shards = range(rules.shards)
        truths = [ShardTruth(logs, rules, Place(n, rules.shards)) if shards[1:] else Truth(logs, rules) for n in shards]
        alone = replicas == 1
        self.each = [SimSink(truth) if alone else ReplicatedSink(truth, rng, replicas, say) for truth in truths]
        self.truth = Truths(truths)

    @property
    def are_many(self) -> bool:
        """Whether they share the pins."""
        return len(self.each) > 1

    def any(self) -> SimSink:
        """One of them."""
        return self.choose(self.each)

    def choose(self, some: Sequence[Some]) -> Some:
        """One of some; draws nothing where there is no choice."""
        return self._rng.choice(some) if len(some) > 1 else some[0]

    def sink(self, order: Sequence[int] = ()) -> SimSink | ShardedSink:
        """What a worker writes to. `order`: how its settings name the shards, if not as they are."""
        if not self.are_many:
            return self.each[0]
        return ShardedSink(self._named(order), lambda ledgers: furthest_behind(ledgers))

    def maintained(self) -> MaintainedSink:
        """The same for commands."""
        if not self.are_many:
            return self.each[0]
        return MaintainedShards(self._named(), lambda ledgers: furthest_behind(ledgers))

    def _named(self, order: Sequence[int] = ()) -> list[Named]:
        shards = len(self.each)
        names = enumerate(order or range(shards))
        return [Named(self.each[is_], Place(is_, shards), Place(asked, shards)) for asked, is_ in names]

    def any_order(self) -> list[int]:
        """The shards in an order in which they may be named by mistake."""
        return self._rng.sample(range(len(self.each)), len(self.each))

    def in_any_order(self, steps: Sequence[Callable[[], Any]]) -> list[Any]:
        """Stands for `side_by_side`: each shard takes its step, whatever becomes of the others."""
        order = blocking_call("order", at_once=lambda: self._rng.sample(range(len(steps)), len(steps)))
        found = {number: answer_of(steps[number]) for number in order}
        for number in range(len(steps)):
            if isinstance(found[number], SinkUnavailable):
                raise found[number]
        return [found[number] for number in range(len(steps))]

    @property
    def is_down(self) -> bool:
        """Whether one does not answer: then no session can be opened."""
        return any(sink.down for sink in self.each)

    def go_down(self) -> None:
        """One of them."""
        self.any().down = True

    def step(self) -> None:
        """Time passes."""
        for sink in self.each:
            sink.step()

    def calm(self) -> None:
        """All come up, and nothing fails any more by itself."""
        self.come_up()
        for sink in self.each:
            sink.calm()

    def come_up(self) -> None:
        """All."""
        for sink in self.each:
            sink.down = False

    @property
    def late(self) -> list[tuple[SimSink, int]]:
        """What may still be applied: where, and its place in what waits there."""
        return [(sink, at) for sink in self.each for at in range(len(sink.late))]

    def nothing_comes(self) -> None:
        """What went unanswered so far is gone for good."""
        for sink in self.each:
            sink.late.clear()

    @property
    def copies(self) -> list[tuple[SimSink, Copy]]:
        """Every backup, each of one server."""
        return [(sink, copy) for sink in self.each for copy in sink.copies]
