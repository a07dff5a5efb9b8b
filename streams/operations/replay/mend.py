"""Mending the value of a dead letter: pure, bytes to bytes."""

import json
from collections.abc import Mapping
from typing import Any

from pintally.schemas.errors import PintallyError


class CannotMend(PintallyError):
    """The value has no fields to set."""


def read_change(text: str) -> tuple[str, Any]:
    """`field=value` as a field and its JSON value; what is not JSON is text. Raises PintallyError without a `=`."""
    field, equals, value = text.partition("=")
    if not field or not equals:
        raise PintallyError(f"--set {text!r} names no field", "Write it as --set pin_id=813744226420795884.")
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def merged(value: bytes | None, changes: Mapping[str, Any]) -> bytes:
    """The value with `changes` merged in as RFC 7396 has it: null takes a field away, objects are merged.

    Raises CannotMend unless the value is a JSON object.
    """
    fields = fields_of(value)
    if fields is None:
        raise CannotMend("a value that is no JSON object has no fields to set", "Write a whole value with --from.")
    return written(_merge(fields, changes))


def written(fields: Any) -> bytes:
    """JSON as a producer would write it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def fields_of(value: bytes | None) -> dict[str, Any] | None:
    """The fields of a value; None if it is no JSON object."""
    if value is None:
        return None
    try:
        content = json.loads(value.decode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def changed(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """Names of the fields that differ, in order of name; `value` alone where one of the two has no fields."""
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
