"""`pintally top`: the pins with the most engagement."""

from datetime import datetime
from typing import Annotated, Any

import typer

from pintally.cli.choice import choice
from pintally.cli.top_options import (
    ALL,
    ALL_TRUSTED,
    COLUMNS,
    RECENT,
    TREND,
    TRUSTED,
    Resolution,
    refuse_what_does_not_go_together,
)
from pintally.schemas.actions import Action


def top(
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            "-w",
            metavar=f"[{'|'.join(RECENT)}|START]",
            help="today is the time since 00:00 UTC; 24h, 1h and 10m are the time before the newest cut. START is the "
            "start of a past minute, hour or day in UTC, for example 2026-11-21T14:00.",
            show_default="1h",
        ),
    ] = None,
    resolution: Annotated[
        Resolution | None,
        typer.Option(
            "--resolution",
            "-r",
            help="Length of a past window. Without --window, the newest window of this length is shown.",
            show_default="1h",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            **choice((ALL, *COLUMNS, ALL_TRUSTED, *TRUSTED, TREND)),
            help="What to sort by: a count, or trend, which says how far the last hour is above the mean of the pin. "
            "Of trusted events one user gives a pin at most five in a slice (PINTALLY_TRUSTED_CAP).",
        ),
    ] = ALL,
    as_of: Annotated[
        str | None,
        typer.Option(help="Show what was known at this time in UTC, for example 2026-11-21T14:05.", show_default="now"),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Add what was counted after the newest cut.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many pins.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the pins with the most engagement.

    Every ten minutes a cut is published: it counts the events that had arrived by then. The windows today, 24h, 1h and
    10m are shown as known at the newest cut. With --live they include what was counted after it, and with --as-of they
    are shown as known at an earlier time. All counts are exact.

    Examples:

        pintally top --window today --by saves
        pintally top --by trend --limit 20
        pintally top --window 2026-11-21 --resolution 1d
    """
    from pintally.cli.console import print_json, progress
    from pintally.cli.moments import moment_of
    from pintally.cli.top_answer import Asked, Document, newest, past, recent, trending
    from pintally.cli.top_shards import ask_all
    from pintally.sinks.clickhouse.connection import Connection
    from pintally.sinks.reads.shards import reading
    from pintally.streams.settings import load_settings

    refuse_what_does_not_go_together(window, resolution, by, as_of, live)
    asked = Asked(by, limit, moment_of(as_of, "--as-of") if as_of else None, live)
    start = moment_of(window, "--window") if window and window not in RECENT else None
    length = resolution or Resolution.HOUR
    with reading(load_settings(over_shards=True).clickhouse.shards) as connections:
        is_past = by != TREND and (resolution is not None or start is not None)
        if is_past and start is None:
            start = max(filter(None, (newest(connection, length) for connection in connections)), default=None)

        def ask(connection: Connection, asked: Asked) -> Document:
            if by == TREND:
                return trending(connection, asked)
            if not is_past:
                return recent(connection, window or "1h", asked)
            return past(connection, length.value, start, asked) if start else nothing_yet(length)

        answer = ask_all(connections, asked, ask, at_a_cut=asked.as_of is not None or not is_past)
    if as_json:
        print_json(answer)
    else:
        if answer.get("live") and not live:
            progress.print("No cut is published yet, so these are the counts up to the last flush.")
        show(answer, by)


def nothing_yet(resolution: Resolution) -> dict[str, Any]:
    """Returns the answer where there are no counts."""
    return {"resolution": resolution.value, "window_start": None, "pins": []}


def show(answer: dict[str, Any], by: str) -> None:
    """Print a table, or that there are no counts."""
    from pintally.cli.console import data, progress, table

    if not answer["pins"]:
        progress.print(f"No engagement{_where(answer)}.")
        return
    data.print(f"Top pins{_where(answer)}", style="bold", highlight=False)
    more = ["trusted", "trend"] if by == TREND else ["trusted"]
    made = table(
        None, "pin", *(action.heading for action in Action), *more
    )  # narrower than its title, which would wrap
    for pin in answer["pins"]:
        trend = [f"{pin['trend_1h']:.1f}"] if by == TREND else []
        trusted = sum(pin[name] for name in TRUSTED)
        made.add_row(pin["pin_id"], *(f"{pin[name]:,}" for name in COLUMNS), f"{trusted:,}", *trend)
    data.print(made)


def _where(answer: dict[str, Any]) -> str:
    if answer["window_start"] is None:
        return ": no cut was published by then" if "window" in answer else " yet"
    start = _time(answer["window_start"])
    if "window" in answer:
        known = "up to the last flush" if answer["live"] else f"as known at {_time(answer['as_of'])} UTC"
        return f" of {RECENT[answer['window']]}, from {start} UTC, {known}"
    return f", {answer['resolution']} from {start} UTC{_state(answer)}"


def _state(answer: dict[str, Any]) -> str:
    if not answer["pins"]:
        return ""
    if answer["pins"][0]["is_final"]:
        return ", final"
    return f", as known at {_time(answer['as_of'])} UTC" if answer["as_of"] else ", not final yet"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
