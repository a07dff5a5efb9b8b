"""Corrects the value of a dead letter. Pure, bytes to bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pintally.schemas.errors import PintallyError
from pintally.schemas.framing import framed_as, prefix_of, without_prefix


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


@dataclass(frozen=True, slots=True)
class Correction:
    """What is done to every value: fields are set, or it gets the prefix that its topic asks for."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    reframe: bool = False

    def applied(self, value: bytes | None, prefix_bytes: int) -> bytes | None:
        """Returns the corrected value, for a topic with this `prefix_bytes`. Fields of no JSON object are not set."""
        if self.changes and fields_of(value) is not None:
            return merged(value, self.changes, prefix_bytes)
        if self.reframe and (json_text := without_prefix(value)) is not None:
            return framed_as(json_text, prefix_bytes, value)
        return value


def merged(value: bytes | None, changes: Mapping[str, Any], prefix_bytes: int) -> bytes:
    """Returns the value with `changes` merged in, by RFC 7396: null removes a field, objects are merged.

    It is framed as a topic with this `prefix_bytes` asks. Raises CannotCorrect unless the value is a JSON object.
    """
    fields = fields_of(value)
    if fields is None:
        raise CannotCorrect(
            "a value that is not a JSON object has no fields to set", "Give a complete value with --from."
        )
    return framed_as(written(_merge(fields, changes)), prefix_bytes, value)


def written(fields: Any) -> bytes:
    """Returns compact JSON."""
    return json.dumps(fields, separators=(",", ":")).encode()


def fields_of(value: bytes | None) -> dict[str, Any] | None:
    """Returns the fields of a value, which a schema registry may frame; None if it is not a JSON object."""
    json_text = without_prefix(value)
    if json_text is None:
        return None
    try:
        content = json.loads(json_text.decode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def changed(before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    """Returns the names of the fields that differ, sorted, with `prefix` if the bytes before the JSON differ; `value`
    if one of the two is not a JSON object."""
    if before == after:
        return ()
    old, new = fields_of(before), fields_of(after)
    if old is None or new is None:
        return ("value",)
    names = {name for name in old.keys() | new.keys() if old.get(name, _ABSENT) != new.get(name, _ABSENT)}
    if prefix_of(before) != prefix_of(after):
        names.add("prefix")
    return tuple(sorted(names))


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
