"""What a fault may touch, and how it says whether it took effect."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pintally.tools.drill.probe import Probe
from pintally.tools.drill.proxy import Proxy
from pintally.tools.drill.stack import Stack
from pintally.tools.drill.truth import Expected
from pintally.tools.drill.workers import Workers
from pintally.tools.engines.ready import wait_until

CALM_SECONDS = 45.0

Group = Literal["engines", "producers"]


class NoEffect(Exception):
    """The fault was injected, and nothing shows that it had an effect."""


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault is injected into, and what it may ask."""

    stack: Stack
    workers: Workers
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
    def kafka_proxies(self) -> list[Proxy]:
        """Every worker's ways to the brokers of Kafka."""
        return [proxy for each in self.stack.proxies for proxy in each.kafka]

    def proxies_of(self, broker: int) -> list[Proxy]:
        """Every worker's way to one broker: 0 is the first."""
        return [each.kafka[broker] for each in self.stack.proxies]

    @property
    def clickhouse_proxies(self) -> list[Proxy]:
        """Every worker's way to ClickHouse."""
        return [each.clickhouse for each in self.stack.proxies]


Inject = Callable[[FaultContext], str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    `inject` injects it, heals it, and returns what shows that it took effect; it raises NoEffect where nothing does.
    """

    name: str
    summary: str  # for --help
    proof: str  # what shows that it took effect
    group: Group
    inject: Inject
    most: int | None = None  # how often it may come in one drill
    brokers: int = 1  # how many it needs at least


REGISTRY: dict[str, Fault] = {}


def fault(
    name: str, proof: str, *, group: Group = "engines", most: int | None = None, brokers: int = 1
) -> Callable[[Inject], Inject]:
    """Register a function as a fault; the first line of its docstring is the summary."""

    def register(inject: Inject) -> Inject:
        summary = (inject.__doc__ or "").strip().splitlines()[0]
        REGISTRY[name] = Fault(name, summary, proof, group, inject, most, brokers)
        return inject

    return register


def require_effect(shown: object, otherwise: str) -> None:
    """Raise NoEffect, with the reason `otherwise`, unless something is shown."""
    if not shown:
        raise NoEffect(otherwise)
