"""Records' values: JSON as our apps write it, the few older apps included."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.tools.emulate.arms import ARMS, EXPERIMENT, arms_of
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.sessions import PLATFORMS, SURFACES, Steps

OLD_APP_SHARE = 0.02  # of events write ids as JSON numbers
UUID_LENGTH = 36
HEX_COLUMNS = [*range(0, 8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36)]
DASHES = (8, 13, 18, 23)


def _field(name: str, label: str | None) -> str:
    return "" if label is None else f',"{name}":"{label}"'


# What follows the required fields: the labels, by the numbers that Steps have for them.
SHOWN_ON = [
    [_field("surface", surface) + _field("platform", platform) for platform in (None, *PLATFORMS)]
    for surface in (None, *SURFACES)
]
IN_ARMS = [f',"experiments":{{"{EXPERIMENT}":"{arm}"}}' if arm else "" for arm in ARMS]  # by the number of the arm
# Then one of these, drawn at random; the last has a field that readers must ignore.
TAILS = (*["}"] * 22, ',"app_version":"13.4.1"}')


def event_ids(rng: Generator, count: int) -> list[str]:
    """Random UUIDs (version 4)."""
    raw = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.empty((count, UUID_LENGTH), np.uint8)
    text[:, DASHES] = ord("-")
    text[:, HEX_COLUMNS] = np.frombuffer(raw.tobytes().hex().encode(), np.uint8).reshape(count, 32)
    joined = text.tobytes().decode()
    return [joined[at : at + UUID_LENGTH] for at in range(0, count * UUID_LENGTH, UUID_LENGTH)]


def write(rng: Generator, ids: list[str], steps: Steps, occurred: NDArray[np.int64], pins: Pins) -> list[bytes]:
    """One JSON object an event: about 170 bytes."""
    drawn = rng.integers(0, len(TAILS), len(ids)).tolist()
    tails = [IN_ARMS[arm] + TAILS[tail] for arm, tail in zip(arms_of(steps.user).tolist(), drawn, strict=True)]
    old = rng.random(len(ids)) < OLD_APP_SHARE
    quotes = ["" if number else '"' for number in old.tolist()]
    labels = {action.value: action.label for action in Action}
    actions = [labels[action] for action in steps.action.tolist()]
    texts = [pins.texts[pin] for pin in steps.pin.tolist()]
    labelled = zip(steps.surface.tolist(), steps.platform.tolist(), strict=True)
    shown_on = [SHOWN_ON[surface][platform] for surface, platform in labelled]
    return [
        (
            f'{{"event_id":"{event_id}","action":"{action}","pin_id":{q}{pin}{q},"user_id":{q}{user}{q},'
            f'"occurred_at":{at}{shown}{tail}'
        ).encode()
        for event_id, action, q, pin, user, at, shown, tail in zip(
            ids, actions, quotes, texts, steps.user.tolist(), occurred.tolist(), shown_on, tails, strict=True
        )
    ]
