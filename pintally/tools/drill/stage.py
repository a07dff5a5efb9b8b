"""What a fault may touch, and how it says whether it bit."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pintally.tools.drill.probe import Probe
from pintally.tools.drill.proxy import Door
from pintally.tools.drill.stack import Stack
from pintally.tools.drill.tally import Tally
from pintally.tools.drill.truth import Expected
from pintally.tools.drill.workers import Workers
from pintally.tools.engines.ready import wait_until

CALM_SECONDS = 45.0

Lane = Literal["engines", "producers"]


class DidNotBite(Exception):
    """The fault was injected, and nothing shows that it hit anything."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the drill plays."""

    stack: Stack
    workers: Workers
    tally: Tally
    probe: Probe
    expected: Expected
    rng: random.Random
    happened: Counter[str] = field(default_factory=Counter)  # what faults themselves have seen happen

    @property
    def session(self) -> float:
        """Seconds of silence after which Kafka gives a worker up."""
        return self.stack.settings.worker.session_timeout_seconds

    def calm(self) -> None:
        """Wait a while for every worker to be in the group and to have counted all: what starts cannot lose much."""
        members = len(self.workers.steady)
        wait_until(lambda: self.probe.members() >= members, CALM_SECONDS)
        self.probe.wait_caught_up(CALM_SECONDS)

    @property
    def kafka_doors(self) -> list[Door]:
        """Every worker's way to Kafka."""
        return [entrance.kafka for entrance in self.stack.entrances]

    @property
    def clickhouse_doors(self) -> list[Door]:
        """Every worker's way to ClickHouse."""
        return [entrance.clickhouse for entrance in self.stack.entrances]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    `strike` injects it, heals it, and returns what shows that it bit; it raises DidNotBite where nothing does.
    """

    name: str
    summary: str  # for --help
    proof: str  # what shows that it bit
    lane: Lane
    strike: Callable[[Stage], str]
    most: int | None = None  # how often it may come in one drill


REGISTRY: dict[str, Fault] = {}


def fault(
    name: str, proof: str, *, lane: Lane = "engines", most: int | None = None
) -> Callable[[Callable[[Stage], str]], Callable[[Stage], str]]:
    """Register a function as a fault; the first line of its docstring is the summary."""

    def register(strike: Callable[[Stage], str]) -> Callable[[Stage], str]:
        summary = (strike.__doc__ or "").strip().splitlines()[0]
        REGISTRY[name] = Fault(name, summary, proof, lane, strike, most)
        return strike

    return register


def bit(shown: object, otherwise: str) -> None:
    """Raise DidNotBite unless something is shown."""
    if not shown:
        raise DidNotBite(otherwise)
