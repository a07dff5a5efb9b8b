"""An argument or option that is one of some names, where these depend on which actions there are."""

from collections.abc import Sequence
from typing import Any

import typer


def choice(names: Sequence[str]) -> dict[str, Any]:
    """What typer.Option or typer.Argument is given for it."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, names))}.")
        return text

    return {"parser": parse, "metavar": f"[{'|'.join(names)}]"}
