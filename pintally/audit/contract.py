"""Is a value an event? E1 to E12 of the contract (schemas/events.py tells them), by the standard library alone.

Written from the words, not from the models, so that a mistake in one is seen by the other.
"""

import json
from typing import Any, NamedTuple

KINDS = (  # number in pin_minutes.action, `action` field of events, column of views and roll-ups
    (1, "save", "saves"),
    (2, "click", "clicks"),
    (3, "closeup", "closeups"),
)
ACTIONS = {number: label for number, label, _ in KINDS}
COLUMNS = tuple(column for _, _, column in KINDS)
TRUSTED = tuple(f"trusted_{column}" for column in COLUMNS)  # columns beside them, of what is trusted
MEASURES = (*COLUMNS, *TRUSTED)
MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_ID = (1 << 64) - 1
END_OF_TIME_MS = 4_102_444_800_000
MAX_CHARACTERS = 64
MAX_MEMBERS = 32


class Event(NamedTuple):
    """What of an event decides counts."""

    event_id: bytes  # the 16 bytes of the UUID
    pin_id: int
    occurred_at: int  # Unix ms
    user_id: int
    surface: str | None
    platform: str | None
    experiments: dict[str, str]  # arm by experiment


def behind_prefix(value: bytes | None, prefix_bytes: int) -> bytes | None:
    """What follows the prefix of a schema registry (E12), or None if the value has none. Without a rule: the value."""
    if value is None or prefix_bytes == 0:
        return value
    return value[prefix_bytes:] if value[:1] == b"\0" and len(value) >= prefix_bytes else None


def read_event(value: bytes | None, action: str, prefix_bytes: int = 0) -> Event | None:
    """The event that `value` holds, or None if the contract refuses it on the topic of `action`, by its rule."""
    value = behind_prefix(value, prefix_bytes)
    if value is None or len(value) > MAX_BYTES:
        return None
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return None
    try:
        fields = _parse(value.decode())
    except ValueError:
        return None
    if type(fields) is not dict or fields.get("action") != action:
        return None
    event_id, pin_id = _uuid(fields.get("event_id")), _unsigned(fields.get("pin_id"))
    user_id, occurred_at = _unsigned(fields.get("user_id")), fields.get("occurred_at")
    if event_id is None or pin_id is None or user_id is None:
        return None
    if type(occurred_at) is not int or not 0 <= occurred_at < END_OF_TIME_MS:
        return None
    surface, platform = fields.get("surface"), fields.get("platform")
    if not (_optional_label(surface) and _optional_label(platform)):
        return None
    if not _optional_experiments(fields.get("experiments")):
        return None
    return Event(event_id, pin_id, occurred_at, user_id, surface, platform, fields.get("experiments") or {})


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_json = json.JSONDecoder(parse_constant=_refuse).decode
_json_any_number = json.JSONDecoder(parse_constant=_refuse, parse_int=lambda digits: int(digits[:40])).decode


def _parse(text: str) -> Any:
    """RFC 8259. Raises ValueError. Integers too long for Python to read are cut, and still too big for any field."""
    try:
        return _json(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _json_any_number(text)


def _depth(value: bytes) -> int:
    """Deepest nesting of brackets outside strings. UTF-8 has no bracket, quote or backslash inside a character."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in value:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _uuid(text: object) -> bytes | None:
    if type(text) is not str or len(text) != 36 or not text[8] == text[13] == text[18] == text[23] == "-":
        return None
    try:
        raw = bytes.fromhex(text.replace("-", ""))  # skips spaces, so a space leaves too few bytes
    except ValueError:
        return None
    return raw if len(raw) == 16 else None


def _unsigned(value: object) -> int | None:
    if type(value) is str:
        if not (value.isascii() and value.isdecimal()) or len(value) > 20 or (value[0] == "0" and value != "0"):
            return None
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_ID else None


def _optional_label(value: object) -> bool:
    return value is None or _is_label(value)


def _is_label(value: object) -> bool:
    if type(value) is not str or not 1 <= len(value) <= MAX_CHARACTERS:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _optional_experiments(value: object) -> bool:
    if value is None:
        return True
    if type(value) is not dict or len(value) > MAX_MEMBERS:
        return False
    return all(_is_label(name) and _is_label(arm) for name, arm in value.items())
