"""Shapes of traffic: the same events, written as different producers write them.

Producers differ in the order of the fields, in white space, in further fields and in the size of their batches. Each
shape holds the same events: ids, pins, users, times and labels are equal, so the counts are equal too. The members of
an object are made column by column, then joined row by row: about 1,000,000 events in two to five seconds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.random import Generator, default_rng

from pintally.tools.emulate.values import event_ids

EXPERIMENTS, ARMS, ASSIGNED = 60, ("control", "treatment", "holdout"), 6  # an event names 6 of 60 experiments
VERSIONS = [f"12.{number}" for number in range(40)]
LOCALES = ["en-US", "de-DE", "pt-BR", "ja-JP"]
CLIENTS = [(system, model) for system in ("17.4", "17.5", "18.0") for model in ("iPhone15,2", "Pixel 8", "SM-S911B")]
CONTEXTS, CONTEXT_LENGTH = 256, 760  # different ones, and the characters of each; with the other fields about 1 KB

Members = dict[str, list[str]]  # name of a field -> one JSON member an event, "" where the event has no such field
Writer = Callable[["Events", Generator], list[bytes]]


class UnknownShape(ValueError):
    """A name that no shape has."""


@dataclass(frozen=True, slots=True)
class Events:
    """What events say, in columns. One entry an event."""

    event_ids: list[str]
    actions: list[str]
    pins: list[str]  # decimal
    users: list[int]
    occurred: list[int]  # ms since 1970
    surfaces: list[str | None]
    platforms: list[str | None]

    def __len__(self) -> int:
        return len(self.event_ids)

    def at(self, places: Sequence[int]) -> "Events":
        """The events at these places."""
        return Events(*([getattr(self, name)[place] for place in places] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to write events, and to send them."""

    name: str
    what: str  # for people
    write: Writer
    batch_records: int | None = None  # of a producer's batch; None: as many as fit


def members(events: Events, colon: str = ":") -> Members:
    """The fields of the contract, in the order in which `pintally emulate` writes them."""

    def text(name: str, column: Sequence[str | None]) -> list[str]:
        return ["" if each is None else f'"{name}"{colon}"{each}"' for each in column]

    return {
        "event_id": text("event_id", events.event_ids),
        "action": text("action", events.actions),
        "pin_id": text("pin_id", events.pins),
        "user_id": [f'"user_id"{colon}"{user}"' for user in events.users],
        "occurred_at": [f'"occurred_at"{colon}{at}' for at in events.occurred],
        "surface": text("surface", events.surfaces),
        "platform": text("platform", events.platforms),
    }


def joined(columns: Sequence[Sequence[str]], comma: str = ",") -> list[bytes]:
    """One JSON object a row."""
    return [f"{{{comma.join(filter(None, row))}}}".encode() for row in zip(*columns, strict=True)]


def own(events: Events, _: Generator) -> list[bytes]:
    """As `pintally emulate` writes them: about 173 bytes."""
    return joined(list(members(events).values()))


def sorted_keys(events: Events, _: Generator) -> list[bytes]:
    """As a serializer that sorts names writes them."""
    return joined([column for _, column in sorted(members(events).items())])


def shuffled(events: Events, rng: Generator) -> list[bytes]:
    """Another order for each event, as maps without an order give."""
    columns = list(members(events).values())
    orders = rng.permuted(np.tile(np.arange(len(columns)), (len(events), 1)), axis=1).tolist()
    rows = zip(*columns, strict=True)
    mixed = [[row[place] for place in order] for row, order in zip(rows, orders, strict=True)]
    return [f"{{{','.join(filter(None, row))}}}".encode() for row in mixed]


def extra(events: Events, rng: Generator) -> list[bytes]:
    """Four more fields that are ignored, one of them nested."""
    count = len(events)
    clients = [f'"client":{{"os":"{system}","model":"{model}"}}' for system, model in CLIENTS]
    return joined(
        [
            *members(events).values(),
            [f'"session_id":"{each}"' for each in event_ids(rng, count)],
            drawn(rng, [f'"app_version":"{each}"' for each in VERSIONS], count),
            drawn(rng, [f'"locale":"{each}"' for each in LOCALES], count),
            drawn(rng, clients, count),
        ]
    )


def arms(events: Events, rng: Generator) -> list[bytes]:
    """The arms of 6 of 60 experiments; an event draws its own six."""
    count = len(events)
    chosen = np.argpartition(rng.random((count, EXPERIMENTS)), ASSIGNED, axis=1)[:, :ASSIGNED]
    pairs = [f'"exp_{number}":"{arm}"' for number in range(EXPERIMENTS) for arm in ARMS]
    places = (chosen * len(ARMS) + rng.integers(0, len(ARMS), chosen.shape)).tolist()
    objects = [f'"experiments":{{{",".join([pairs[place] for place in row])}}}' for row in places]
    return joined([*members(events).values(), objects])


def spaced(events: Events, _: Generator) -> list[bytes]:
    """With the spaces that Python's `json.dumps` writes by default."""
    return joined(list(members(events, ": ").values()), ", ")


def large(events: Events, rng: Generator) -> list[bytes]:
    """Values of about 1 KB: a session and a context of the client, which are ignored."""
    count = len(events)
    return joined(
        [
            *members(events).values(),
            [f'"session_id":"{each}"' for each in event_ids(rng, count)],
            drawn(rng, contexts(), count),
        ]
    )


def drawn(rng: Generator, texts: Sequence[str], count: int) -> list[str]:
    """So many of them, each as likely as the others."""
    return [texts[place] for place in rng.integers(0, len(texts), count).tolist()]


@cache
def contexts() -> list[str]:
    """Members `context`: objects with URLs, numbers, escapes, text that is not ASCII, and a nested list."""
    rng = default_rng(0)
    return [f'"context":{context(rng, number)}' for number in range(CONTEXTS)]


def context(rng: Generator, number: int) -> str:
    """One object of CONTEXT_LENGTH characters or a little more."""
    seen: list[str] = []
    said = {
        "user_agent": f"Mozilla/5.0 (Linux; Android 14; Pixel {number % 9}) AppleWebKit/537.36 Mobile",
        "referrer": f"https://www.example.com/ideas/home-decor/{number}?utm_source=mail&utm_campaign=autumn",
        "query": f'Gâteau à la crème "sans four" 手作りケーキ {number}',
        "viewport": {"width": 390 + number, "height": 844, "ratio": 2.625},
        "consent": [True, False, None],
        "seen": seen,
    }
    while len(text := json.dumps(said, ensure_ascii=False, separators=(",", ":"))) < CONTEXT_LENGTH:
        seen.append(str(rng.integers(10**17, 10**18)))
    return text


OWN: Final = Shape("own", "the order of `pintally emulate`", own)
SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            OWN,
            Shape("sorted", "names sorted alphabetically", sorted_keys),
            Shape("shuffled", "another order for each event", shuffled),
            Shape("extra", "four more fields, one of them nested", extra),
            Shape("arms", "the arms of 6 of 60 experiments", arms),
            Shape("spaced", "the spaces of Python's `json.dumps`", spaced),
            Shape("small-batches", "own, in batches of 5 records", own, batch_records=5),
            Shape("large", "values of about 1 KB", large),
        )
    }
)


def named(names: str) -> list[Shape]:
    """The shapes that a list like `own,arms` names, in its order. Raises UnknownShape."""
    asked = [name.strip() for name in names.split(",")]
    unknown = [name for name in asked if name not in SHAPES]
    if unknown:
        raise UnknownShape(f"no shape is named {unknown[0]!r}: give some of {','.join(SHAPES)}")
    return [SHAPES[name] for name in dict.fromkeys(asked)]
