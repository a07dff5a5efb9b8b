"""`pintally breakdown`: what one pin did on which surface, and on which platform."""

from datetime import datetime
from typing import Annotated, Any

import typer

from pintally.schemas.actions import Action

DIMENSIONS = ("surface", "platform")


def breakdown(
    pin: Annotated[int, typer.Argument(min=0, max=2**64 - 1, help="The pin.")],
    hours: Annotated[int, typer.Option(min=1, max=24 * 89, help="How many hours, the current one included.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show the events of a pin by surface and by platform.

    They are those of the last full hours and of the current hour, up to the last flush. The sums of the surfaces are
    the counts of the pin, and so are the sums of the platforms.

    Example: pintally breakdown 2182134825669524563 --hours 3
    """
    from pintally.cli.console import print_json, progress
    from pintally.sinks.reads.shards import number_of, reading
    from pintally.streams.settings import load_settings

    servers = load_settings(over_shards=True).clickhouse.shards
    with reading(servers, only=number_of(pin, len(servers))) as [connection]:
        answer = read(connection, pin, hours)
    if as_json:
        print_json(answer)
    elif answer["surface"]:
        show(answer)
    else:
        progress.print(f"Pin {pin} has no events since {_time(answer['since'])} UTC.")


def read(connection: Any, pin: int, hours: int) -> dict[str, Any]:
    """Returns the counts of each label of each dimension, the most events first."""
    from datetime import UTC

    from pintally.schemas.dimensions import Dimension
    from pintally.sinks.reads.breakdowns import Asked, labels_of, read_hours

    (this_hour,) = connection.one("SELECT toUnixTimestamp(toStartOfHour(now('UTC')))")
    start, end = this_hour - (hours - 1) * 3600, this_hour + 2 * 3600  # clocks of producers may be ahead
    found = {each.column: read_hours(connection, Asked(start, end, each, (pin,))) for each in Dimension}
    return {
        "pin_id": str(pin),
        "since": datetime.fromtimestamp(start, UTC).isoformat(),
        **{name: labels_of(columns) for name, columns in found.items()},
    }


def show(answer: dict[str, Any]) -> None:
    """Print a table for each dimension."""
    from rich.markup import escape

    from pintally.cli.console import data, table
    from pintally.cli.letters import printable

    data.print(f"Pin {answer['pin_id']}, since {_time(answer['since'])} UTC", style="bold", highlight=False)
    for dimension in DIMENSIONS:
        made = table(None, dimension, *(action.heading for action in Action), "trusted")
        for label in answer[dimension]:
            counts = (f"{label[action.column]:,}" for action in Action)
            made.add_row(escape(printable(label["label"])), *counts, f"{label['trusted']:,}")
        data.print()
        data.print(made)


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
