"""`pintally top`: the pins with the most engagement."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from pintally.cli.choice import choice
from pintally.schemas.actions import Action


class Resolution(StrEnum):
    """Length of a window; the view of that name has its counts."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


COLUMNS = tuple(action.column for action in Action)
ALL = "all"


def top(
    resolution: Annotated[
        Resolution, typer.Option("--resolution", "-r", help="Length of the window.")
    ] = Resolution.HOUR,
    window: Annotated[
        str | None,
        typer.Option(help="Start of the window in UTC, for example 2026-11-21T14:00; the newest if left out."),
    ] = None,
    by: Annotated[str, typer.Option(**choice((ALL, *COLUMNS)), help="Which count to sort by.")] = ALL,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many pins.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the pins with the most engagement.

    The command reads the views that all readers use. Counts of a window that is not final may still grow.

    Example: pintally top --resolution 1d --by saves
    """
    from pintally.cli.console import print_json
    from pintally.sinks.clickhouse.connection import Connection
    from pintally.sinks.clickhouse.row_policies import SHOWN, refuse_hidden_rows
    from pintally.streams.settings import load_settings

    settings = load_settings()
    with Connection(settings.clickhouse, only_reads=True) as connection:
        refuse_hidden_rows(connection, SHOWN)
        start = start_of(window) if window else newest(connection, resolution)
        pins = read_top(connection, resolution, start, by, limit) if start else []
    if as_json:
        print_json({"resolution": resolution.value, "window_start": start and start.isoformat(), "pins": pins})
    else:
        show(resolution, start, pins)


def start_of(text: str) -> datetime:
    """Returns the start of a window; UTC unless the text has a time zone. Raises PintallyError if it is not a time."""
    from pintally.schemas.errors import PintallyError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise PintallyError(f"--window {text!r} is not a time", "Write it as 2026-11-21T14:00.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def newest(connection: Any, resolution: Resolution) -> datetime | None:
    """Returns the start of the newest window that has counts."""
    rows = connection.rows(f"SELECT window_start FROM pin_engagement_{resolution} ORDER BY window_start DESC LIMIT 1")
    return rows[0][0] if rows else None


def read_top(connection: Any, resolution: Resolution, start: datetime, by: str, limit: int) -> list[dict[str, Any]]:
    """Returns the top pins of one window, highest count first, then by pin."""
    order = " + ".join(COLUMNS) if by == ALL else by
    names = ("pin_id", *COLUMNS, "is_final")
    rows = connection.rows(
        f"SELECT {', '.join(names)} FROM pin_engagement_{resolution}"
        f" WHERE window_start = toDateTime(%(start)s, 'UTC') ORDER BY {order} DESC, pin_id LIMIT %(limit)s",
        start=int(start.timestamp()),
        limit=limit,
    )
    # Ids are text, as in the contract: many languages round JSON numbers above 2^53.
    return [dict(zip(names, (str(pin), *rest), strict=True)) for pin, *rest in rows]


def show(resolution: Resolution, start: datetime | None, pins: list[dict[str, Any]]) -> None:
    """Print a table, or that there are no counts."""
    from pintally.cli.console import data, progress, table

    if start is None or not pins:
        where = f" in the window that starts {start:%Y-%m-%d %H:%M} UTC" if start else " yet"
        progress.print(f"No engagement{where}.")
        return
    state = "final" if pins[0]["is_final"] else "not final yet"
    data.print(f"Top pins, {resolution} from {start:%Y-%m-%d %H:%M} UTC, {state}", style="bold", highlight=False)
    made = table(None, "pin", *(action.heading for action in Action))  # narrower than its title, which would wrap
    for pin in pins:
        made.add_row(pin["pin_id"], *(f"{pin[name]:,}" for name in COLUMNS))
    data.print(made)
