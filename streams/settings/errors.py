"""Why a setting cannot be used, in the words of who sets variables."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from pintally.schemas.errors import PintallyError
from pintally.streams.settings.addresses import Unusable, redacted

LONGEST = 200  # characters of a value that are shown
BOUNDS = {
    "greater_than": ("gt", "above {gt}"),
    "greater_than_equal": ("ge", "{ge} or more"),
    "less_than_equal": ("le", "{le} or less"),
}


def explained(error: ValidationError, prefix: str, fields: Mapping[str, FieldInfo]) -> PintallyError:
    """The first fault as an error that names the variable, its value and what to write. Shows no password."""
    fault = error.errors(include_url=False)[0]
    field = str(fault["loc"][0])
    name = f"{prefix}{field}".upper()
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, Unusable):
        return PintallyError(f"setting {name}={cause.shown!r}: {cause.what}", cause.remedy)
    value = fault["input"]
    shown = "" if "PASSWORD" in name else f"={redacted(str(value))[:LONGEST]!r}"
    what, wanted = _wanted(fault, value, fields.get(field), name)
    return PintallyError(f"setting {name}{shown}: {what}", f"Set {name} to {wanted}, or unset it for its default.")


def _wanted(fault: Mapping[str, Any], value: Any, field: FieldInfo | None, name: str) -> tuple[str, str]:
    """What is wrong, and what it may be."""
    kind, given = fault["type"], fault.get("ctx", {})
    text = str(value).strip()
    number = _number(name)
    if kind in BOUNDS:
        bound = BOUNDS[kind][1].format(**given)
        return f"it must be {bound}", f"{number} {bound}"
    if not text:
        return "it is set, but empty", "a valid value"
    if text[0] in "\"'`":
        return "it stands in quotes", "its value without quotes"
    if kind == "literal_error" and field is not None:
        choices = [str(choice) for choice in get_args(field.annotation)]
        return "it is none of the values that it may have", f"a valid value: {', '.join(choices)}"
    if kind.startswith("bool"):
        return "it must be true or false", "a valid value: true or false"
    if kind.startswith(("int", "float", "finite")):
        unit = ", without a unit" if text[0].isdigit() else ""
        return f"it must be a number{unit}", f"a valid value: {number}{unit}"
    return str(fault["msg"]), "a valid value"


def _number(name: str) -> str:
    for unit in ("SECONDS", "DAYS"):
        if name.endswith(unit):
            return f"a number of {unit.lower()}"
    return "a port, a number from 1 to 65535," if name.endswith("PORT") else "a number"
