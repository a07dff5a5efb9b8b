"""The contract: when a Kafka value is a valid event of an action. These models decide; all else must agree.

The rules in full, E1 to E12, so that an implementation in any language reaches the same verdict on every value:

The value
E1. It is there (no tombstone) and at most 1 MiB (1,048,576 bytes) long.
E2. It is UTF-8 throughout, also inside ignored fields: no byte-order mark, no overlong form, no encoded surrogate.
E3. It is one JSON text by the grammar of RFC 8259, nothing after it but white space: no NaN or Infinity, no comments,
    no trailing commas, no control characters inside strings, no leading zeros or plus signs in numbers. The grammar
    allows `\\ud800` without its other half, and numbers of any size; so do we, where a field is ignored.
E4. Arrays and objects nest at most 32 deep anywhere; the event itself is level 1, `experiments` level 2.
E5. The text is an object. Names are compared exactly, after their escapes are resolved. Of a name that occurs twice,
    here or in `experiments`, the last one counts. Fields not named below are ignored, whatever they hold.

Required fields, never null
E6. `event_id`: a string of 36 characters, a UUID as hexadecimal 8-4-4-4-12 with hyphens. Upper and lower case mean the
    same id; any version and variant will do.
E7. `action`: the label of an action in schemas/actions.py (`save`, `click`, `closeup`), the one that fits the topic.
E8. `pin_id`, `user_id`: 0 to 18446744073709551615, as a string of ASCII decimal digits without leading zeros (`"0"`
    itself is fine), sign or spaces; or as a JSON integer. The string is preferred: many languages round JSON numbers
    above 2^53.
E9. `occurred_at`: a JSON integer, 0 <= occurred_at < 4102444800000 (the year 2100): Unix milliseconds, UTC.

Optional fields: absent and null mean the same; anything else that breaks the rule makes the event invalid
E10. `surface`, `platform`: a string of 1 to 64 characters.
E11. `experiments`: an object of at most 32 members, experiment to arm; each name and each arm has 1 to 64 characters.

Topics that a schema registry frames
E12. If the counting rules of a topic say `prefix_bytes: 5`, a value begins with five bytes, a byte 0 and four bytes of
    a schema id, which nobody looks up. E1 to E11 are about what follows them; a value without them is invalid. If the
    rules say 0, all of the value is the text of E1 to E11: no value is framed there.

A character is a Unicode code point; half a surrogate pair is none, so strings of E10 and E11 must not hold one. A
JSON integer is a number written without fraction and exponent (`1.0` and `1e3` are refused, `-0` is 0); `true` and
`false` are no numbers.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from pintally.schemas.actions import Action
from pintally.schemas.encodings import no_object, wrapped
from pintally.schemas.json_text import parse

MAX_ID: Final = 2**64 - 1
MAX_OCCURRED_AT: Final = 4_102_444_800_000  # ms: 2100-01-01, below the end of ClickHouse's DateTime (2106)
MAX_LABEL: Final = 64  # code points
MAX_EXPERIMENTS: Final = 32

UUID_PATTERN: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
DECIMAL_PATTERN: Final = "0|[1-9][0-9]{0,19}"


class ContractError(ValueError):
    """A value is not a valid event; `reason` says why, short and in the producer's words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _uuid(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(UUID_PATTERN, value):
            raise ValueError("not in the hyphenated form")
        return UUID(value)
    return value  # a UUID, as Python code gives it; the strict model refuses all else


def _decimal(value: object) -> object:
    if isinstance(value, str):
        if not re.fullmatch(DECIMAL_PATTERN, value):
            raise ValueError("not a canonical decimal")
        return int(value)
    return value


def _few(value: object) -> object:
    """Refuses too many members before they are looked at: a value may hold 100,000, and each would be a fault."""
    if isinstance(value, dict) and len(value) > MAX_EXPERIMENTS:
        raise ValueError("too many members")
    return value


EventId = Annotated[
    UUID, BeforeValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid", "pattern": f"^{UUID_PATTERN}$"})
]
UnsignedId = Annotated[
    int,
    Field(ge=0, le=MAX_ID),
    BeforeValidator(_decimal),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^({DECIMAL_PATTERN})$"},
                {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            ]
        }
    ),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL)]


class Event(BaseModel):
    """What all events share. Field descriptions end the sentence "it must be ..." in dead-letter reasons."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    event_id: EventId = Field(description="a UUID in its 36-character form with hyphens")
    action: str
    pin_id: UnsignedId = Field(description="an unsigned 64-bit integer in decimal digits without leading zeros")
    user_id: UnsignedId = Field(description="an unsigned 64-bit integer in decimal digits without leading zeros")
    occurred_at: int = Field(
        ge=0, lt=MAX_OCCURRED_AT, description="an integer of Unix milliseconds in UTC, from 0 to before the year 2100"
    )
    surface: Label | None = Field(None, description=f"a string of 1 to {MAX_LABEL} characters")
    platform: Label | None = Field(None, description=f"a string of 1 to {MAX_LABEL} characters")
    experiments: Annotated[dict[Label, Label] | None, BeforeValidator(_few)] = Field(
        None,
        max_length=MAX_EXPERIMENTS,
        description=f"an object of at most {MAX_EXPERIMENTS} strings, names and values of 1 to {MAX_LABEL} characters",
    )


def _model(action: Action) -> type[Event]:
    fits: Any = (Literal[action.label], Field(description=f'"{action.label}", as the topic says'))
    name = f"{action.label.title()}Event"
    return create_model(name, __base__=Event, __doc__=action.meaning, action=fits)


model_of: Final[Mapping[Action, type[Event]]] = MappingProxyType({action: _model(action) for action in Action})


def validate(value: bytes | None, action: Action) -> Event:
    """The event that a record's value holds, on the topic of `action`. Raises ContractError, and nothing else."""
    try:
        content = parse(value)
    except ValueError as error:
        raise ContractError(str(error)) from None
    if not isinstance(content, dict):
        found = no_object(content)
        raise ContractError(f"value: must be a JSON object; {found}" if found else "value: must be a JSON object")
    model = model_of[action]
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ContractError(_reason(model, content, error)) from None


def _reason(model: type[Event], content: Mapping[str, Any], error: ValidationError) -> str:
    """One clause for each field at fault, in the order of the model; before them what wraps an event, if that shows."""
    if content.keys().isdisjoint(model.model_fields) and (found := wrapped(content)):
        return f"value: must be the event; {found}"
    clauses: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        clauses.setdefault(str(fault["loc"][0]), _clause(model, fault))
    return "; ".join(clauses.values())


def _clause(model: type[Event], fault: Mapping[str, Any]) -> str:
    field = str(fault["loc"][0])
    if fault["type"] == "missing":
        return f"{field}: missing"
    return f"{field}: must be {model.model_fields[field].description}"
