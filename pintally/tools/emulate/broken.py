"""Records that no schema accepts, one function a kind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pintally.schemas.actions import Action
from pintally.tools.emulate.plan import Margins


@dataclass(frozen=True, slots=True)
class Good:
    """The event that is about to be broken. `occurred_at` and `arrival` in ms."""

    fields: dict[str, Any]
    arrival: int
    margins: Margins


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _with(name: str, value: object) -> Callable[[Good], bytes]:
    return lambda good: _json(good.fields | {name: value})


def _without(name: str) -> Callable[[Good], bytes]:
    return lambda good: _json({key: value for key, value in good.fields.items() if key != name})


def _other_action(good: Good) -> bytes:
    other = next(action.label for action in Action if action.label != good.fields["action"])
    return _json(good.fields | {"action": other})


def _invalid_utf8(good: Good) -> bytes:
    return _json(good.fields | {"surface": "@"}).replace(b"@", b"\xff\xfe")


KINDS: dict[str, Callable[[Good], bytes | None]] = {
    "tombstone": lambda _good: None,
    "empty": lambda _good: b"",
    "cut_off": lambda good: _json(good.fields)[:-20],
    "two_objects": lambda good: _json(good.fields) * 2,
    "array": lambda good: b"[" + _json(good.fields) + b"]",
    "not_json": lambda good: f"event_id={good.fields['event_id']}".encode(),
    "invalid_utf8": _invalid_utf8,
    "no_event_id": _without("event_id"),
    "no_pin": _without("pin_id"),
    "no_time": _without("occurred_at"),
    "null_user": _with("user_id", None),
    "event_id_no_uuid": _with("event_id", "event-1"),
    "pin_negative": _with("pin_id", "-5"),
    "pin_above_64_bits": _with("pin_id", str(2**64)),
    "time_as_text": _with("occurred_at", "2026-01-01T00:00:00Z"),
    "time_with_fraction": _with("occurred_at", 1767225600000.5),
    "unknown_action": _with("action", "no_action_of_ours"),
    "other_topics_action": _other_action,
    "from_the_future": lambda good: _json(good.fields | {"occurred_at": good.arrival + good.margins.future}),
    "older_than_kept": lambda good: _json(good.fields | {"occurred_at": good.arrival - good.margins.too_old}),
}
