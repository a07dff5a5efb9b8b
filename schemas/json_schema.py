"""The contract as JSON Schema, made from the models, for producers in any language."""

from typing import Any, Final

from pintally.schemas.actions import Action
from pintally.schemas.events import MAX_ID, model_of
from pintally.schemas.json_text import MAX_BYTES, MAX_DEPTH

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
UNSAID: Final = (
    f"What JSON Schema cannot say: the value is UTF-8 without byte-order mark, at most {MAX_BYTES} bytes, and nests at "
    f"most {MAX_DEPTH} levels deep. Ids are at most {MAX_ID}, also as strings. An integer is written without fraction "
    "and exponent: 1.0 is refused. Of a name that occurs twice the last one counts. Strings of the fields named here "
    "hold no half of a surrogate pair. On a topic that a schema registry frames, all of this is about what follows the "
    "five bytes of the prefix."
)


def json_schema(action: Action | None = None) -> dict[str, Any]:
    """The schema of one event, or of any of them. Fields it does not name are allowed, and ignored."""
    if action is not None:
        return {"$schema": DIALECT, "$comment": UNSAID, **model_of[action].model_json_schema()}
    return {
        "$schema": DIALECT,
        "$comment": UNSAID,
        "title": "Event",
        "description": "What a person did to a pin; each action has a topic of its own.",
        "oneOf": [model.model_json_schema() for model in model_of.values()],
    }
