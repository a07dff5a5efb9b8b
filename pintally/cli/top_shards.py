"""`pintally top` where several servers share the pins: the same question to each at one cut, and one answer.

A pin is on one of them. So the first k of all are among the first k of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pintally.cli.top_answer import Asked, Document
from pintally.cli.top_options import TREND
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.cuts import EPOCH
from pintally.sinks.reads.shards import read_common_cut

ATTEMPTS = 5  # what is asked up to now may begin a new window between two servers


def ask_all(
    connections: Sequence[Connection],
    asked: Asked,
    ask: Callable[[Connection, Asked], Document],
    *,
    at_a_cut: bool,
) -> Document:
    """The answer of one server, or of all together; `at_a_cut`, of the highest cut that all have. Raises as `ask`."""
    if len(connections) == 1:
        return ask(connections[0], asked)
    for _ in range(ATTEMPTS):
        each = _at_one_cut(connections, asked) if at_a_cut else [asked] * len(connections)
        answers = [ask(connection, own) for connection, own in zip(connections, each, strict=True)]
        if len({answer["window_start"] for answer in answers if answer["pins"]}) <= 1:
            break
    return _together(answers, asked)


def _at_one_cut(connections: Sequence[Connection], asked: Asked) -> list[Asked]:
    """What to ask of each. Before all have published a cut: up to the last flush, as one server answers then."""
    if asked.live:
        return [asked] * len(connections)
    cuts = read_common_cut(connections, asked.as_of)
    if not cuts[0].published_at:
        nothing, now = replace(asked, as_of=EPOCH), replace(asked, live=True)
        return [now if asked.as_of is None and asked.by != TREND else nothing] * len(connections)
    return [replace(asked, as_of=cut.published_at, cut=cut) for cut in cuts]


def _together(answers: Sequence[Document], asked: Asked) -> Document:
    pins = sorted((pin for answer in answers for pin in answer["pins"]), key=lambda pin: _place(pin, asked))
    whole = max(answers, key=lambda answer: (bool(answer["pins"]), "certified" not in answer))
    joined: Document = {**whole, "pins": pins[: asked.limit]}
    if "certified" in joined:
        joined["certified"] = all(answer.get("certified", True) for answer in answers)
    return joined


def _place(pin: dict[str, Any], asked: Asked) -> tuple[float, int]:
    """Highest first, equal ones by pin: as one server sorts them."""
    value = pin["trend_1h"] if asked.by == TREND else asked.ranking.of(tuple(pin[name] for name in COUNTED))
    return -value, int(pin["pin_id"])
