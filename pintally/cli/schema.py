"""`pintally schema`: the contract of the events."""

import json
from typing import Annotated

import typer

from pintally.cli.choice import choice
from pintally.schemas.actions import Action
from pintally.schemas.json_schema import json_schema

LABELS = {action.label: action for action in Action}


def schema(
    action: Annotated[
        str | None, typer.Argument(**choice(tuple(LABELS)), help="One event; without it any of them.")
    ] = None,
) -> None:
    """Print the contract of the events as JSON Schema.

    What producers write to the topics, one JSON object an event. Fields that the schema does not name are allowed, and
    ignored. To let a build fail on events that Pintally would refuse, keep the schema beside the producer's tests:

        pintally schema save > save.schema.json
    """
    print(json.dumps(json_schema(LABELS[action] if action else None), indent=2))
