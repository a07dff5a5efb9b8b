"""`pintally schema`: the contract of the events as JSON Schema."""

import json
from typing import Annotated

import typer

from pintally.cli.choice import choice
from pintally.schemas.actions import Action
from pintally.schemas.json_schema import json_schema

LABELS = {action.label: action for action in Action}


def schema(
    action: Annotated[
        str | None,
        typer.Argument(**choice(tuple(LABELS)), help="The action of the event; all actions if left out."),
    ] = None,
) -> None:
    """Print the JSON Schema of the events.

    Producers write one JSON object for each event. Fields that the schema does not name are allowed and ignored. To
    reject invalid events in the build of a producer, keep the schema beside its tests:

        pintally schema save > save.schema.json
    """
    print(json.dumps(json_schema(LABELS[action] if action else None), indent=2))
