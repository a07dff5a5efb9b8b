"""A chunk of values to columns, by the verdicts of `schemas.events`.

One compiled loop (`schemas.decoding.read_events`) reads the values, however their JSON is written. It accepts only
what the models accept. Everything else, valid or not, is decided by the models themselves. So the two cannot disagree
as long as the loop accepts nothing that they refuse, and reads the same from what it accepts.

No verdict depends on where a chunk begins or ends, or on what came before.
"""

from collections.abc import Mapping
from dataclasses import replace
from threading import local
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded, Experiments
from pintally.schemas.decoding.jit import words_of
from pintally.schemas.decoding.labels import CROWDED, LESSONS, PLACE, SIZE, Labels
from pintally.schemas.decoding.read_events import (
    OCCURRED_AT,
    PIN_ID,
    PLATFORM,
    SURFACE,
    USER_ID,
    Columns,
    Literal,
    read_events,
)
from pintally.schemas.decoding.values import Values
from pintally.schemas.events import ContractError, Event, validate

_LESSONS: Final = 32  # labels written with escapes that a chunk may teach: each costs as much as a value by the models
_LONGEST_LAST: Final = 8_192  # bytes; a longer value at the very end of a text is left to the models
_ACTIONS: Final = {action: Literal.of(action.label) for action in Action}
_NO_REASONS: Final[Mapping[int, str]] = MappingProxyType({})


def decode(values: Values, action: Action) -> Decoded:
    """The columns of a chunk from the topic of `action`. Never raises for what a value holds.

    1. The loop reads what it knows to be valid.
    2. The models decide about each other value. What they accept is written to its place; what they refuse has a
       reason.
    """
    columns, pairs, labels = _of_this_thread.loop.run(values, action)
    decoded = Decoded(
        valid=columns.valid,
        pin_id=columns.numbers[PIN_ID],
        user_id=columns.numbers[USER_ID],
        occurred_at=columns.numbers[OCCURRED_AT].view(np.int64),
        event_id=columns.event_id,
        surface=columns.labels[SURFACE],
        platform=columns.labels[PLATFORM],
        experiments=Experiments(columns.offsets, pairs),
        labels=labels,
        reasons=_NO_REASONS,
    )
    return decoded if decoded.valid.all() else _by_the_models(values, action, decoded)


class _Loop:
    """The loop, and what it needs beside a chunk. It releases Python's lock, so each thread has its own."""

    def __init__(self) -> None:
        self._labels = Labels()
        self._pairs = np.empty(1_024, np.uint64)
        self._spare = np.zeros(_LONGEST_LAST // 8, np.uint64)
        self._spare_words = words_of(self._spare.view(np.uint8))
        self._stop = np.zeros(3, np.int64)

    def run(self, values: Values, action: Action) -> tuple[Columns, NDArray[np.uint64], Labels]:
        """Columns, the pairs of experiments, and the labels of their numbers.

        What is not valid in the columns is left to the models.
        """
        if len(self._labels) > CROWDED:
            self._labels = Labels()
        n, columns, words = len(values), Columns.of(len(values)), words_of(values.text)
        stop, row = self._stop, 0
        stop[SIZE], stop[LESSONS] = 0, _LESSONS
        while True:
            row = read_events(
                words, values.starts, values.lengths, row, _ACTIONS[action], columns, self._pairs, self._labels.table,
                self._spare, self._spare_words, stop,
            )  # fmt: skip
            if row == n:
                return columns, self._pairs[: columns.offsets[n]].copy(), self._labels
            if stop[SIZE]:  # a label, written with escapes, that may be learnt
                start = values.starts[row] + stop[PLACE]
                self._labels.learn(values.text[start : start + stop[SIZE]].tobytes())
                stop[SIZE] = 0
            else:  # no room for experiments
                self._pairs = np.concatenate([self._pairs, np.empty_like(self._pairs)])


class _OfThread(local):
    def __init__(self) -> None:
        self.loop = _Loop()


_of_this_thread: Final = _OfThread()


def _by_the_models(values: Values, action: Action, decoded: Decoded) -> Decoded:
    """The verdicts of the models about all values that are not valid yet."""
    reasons, experiments = dict[int, str](), dict[int, Mapping[str, str]]()
    places = np.flatnonzero(~decoded.valid)
    for index, value in zip(places.tolist(), values.at(places), strict=True):
        try:
            event = validate(value, action)
        except ContractError as error:
            reasons[index] = error.reason
        else:
            _write(event, index, decoded)
            if event.experiments:
                experiments[index] = event.experiments
    return replace(decoded, experiments=_inserted(experiments, decoded), reasons=MappingProxyType(reasons))


def _write(event: Event, index: int, decoded: Decoded) -> None:
    """Write all of an event but its experiments."""
    labels = decoded.labels
    decoded.valid[index] = True
    decoded.pin_id[index], decoded.user_id[index] = event.pin_id, event.user_id
    decoded.occurred_at[index] = event.occurred_at
    decoded.event_id[index] = divmod(event.event_id.int, 2**64)
    decoded.surface[index], decoded.platform[index] = labels.number(event.surface), labels.number(event.platform)


def _inserted(experiments: Mapping[int, Mapping[str, str]], decoded: Decoded) -> Experiments:
    """The experiments that the loop read, and among them those of the events that the models read."""
    offsets, pairs = decoded.experiments.offsets, decoded.experiments.pairs
    if not experiments:
        return decoded.experiments
    number = decoded.labels.number
    more = [number(name) << 32 | number(arm) for each in experiments.values() for name, arm in each.items()]
    counts = np.zeros(len(offsets), np.int64)
    counts[[index + 1 for index in experiments]] = [len(each) for each in experiments.values()]
    pairs = np.insert(pairs, np.repeat(offsets, counts), np.array(more, np.uint64))
    return Experiments(offsets + counts.cumsum(), pairs)
