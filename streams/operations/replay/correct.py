"""Corrects the value of a dead letter. Pure, bytes to bytes."""

import json
from collections.abc import Mapping
from typing import Any

from pintally.schemas.errors import PintallyError


class CannotCorrect(PintallyError):
    """The value has no fields to set."""


def read_change(text: str) -> tuple[str, Any]:
    """Returns field and value of `field=value`; a value that is not JSON is text. Raises PintallyError."""
    field, equals, value = text.partition("=")
    if not field or not equals:
        raise PintallyError(f"--set {text!r}: not field=value", "Write it as --set pin_id=813744226420795884.")
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def merged(value: bytes | None, changes: Mapping[str, Any]) -> bytes:
    """Returns the value with `changes` merged in, by RFC 7396: null removes a field, objects are merged.

    Raises CannotCorrect unless the value is a JSON object.
    """
    fields = fields_of(value)
    if fields is None:
        raise CannotCorrect(
            "a value that is not a JSON object has no fields to set", "Give a complete value with --from."
        )
    return written(_merge(fields, changes))


def written(fields: Any) -> bytes:
    """Returns compact JSON."""
    return json.dumps(fields, separators=(",", ":")).encode()


def fields_of(value: bytes | None) -> dict[str, Any] | None:
    """Returns the fields of a value; None if it is not a JSON object."""
    if value is None:
        return None
    try:
        content = json.loads(value.decode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def changed(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """Returns the names of the fields that differ, sorted; `value` if one of the two is not a JSON object."""
    if before == after:
        return ()
    old, new = fields_of(before), fields_of(after)
    if old is None or new is None:
        return ("value",)
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name, _ABSENT) != new.get(name, _ABSENT)))


_ABSENT = object()


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    fields = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = _merge(fields.get(name), value)
    return fields
