"""On which servers a schedule runs, by the last digit of its seed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """How many servers share the pins, and how many replicas each of them has."""

    shards: int = 1
    replicas: int = 1


ONE_SERVER = Kind()
KINDS = {1: Kind(shards=2), 3: Kind(shards=3), 6: Kind(replicas=3), 8: Kind(shards=2, replicas=2)}


def kind_of(seed: int) -> Kind:
    """That of a schedule; most run on one server."""
    return KINDS.get(seed % 10, ONE_SERVER)


def seals(seed: int) -> bool:
    """Whether there is a schedule of sealers on replicas too."""
    return seed % 10 == 6


def seeds_with(seeds: Iterable[int], *, shards: int = 1, replicas: int = 1) -> list[int]:
    """Those whose schedules have as many, or more."""
    kinds = ((seed, kind_of(seed)) for seed in seeds)
    return [seed for seed, kind in kinds if kind.shards >= shards and kind.replicas >= replicas]
