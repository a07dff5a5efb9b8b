"""`pintally features`: the features of some pins, at the newest cut or as of a moment."""

from datetime import datetime
from math import isnan
from typing import Annotated, Any

import typer

from pintally.cli.moments import moment_of
from pintally.schemas.actions import Action

WINDOWS = ("1h", "24h", "7d", "30d")
RATES = ("24h", "7d")
DECAYED = "decayed_6h"
TREND = "trend_1h"


def features(
    pins: Annotated[list[int], typer.Argument(min=0, max=2**64 - 1, help="The pins, one or more.")],
    as_of: Annotated[
        str | None,
        typer.Option(help="As they were known at this moment in UTC, for example 2026-11-21T14:00; now if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what is known of pins: counts of the last hour, day, week and month, rates and the trend.

    The command reads the view `pin_features`. All numbers are of one cut: what arrived before it is counted.

    Example: pintally features 2182134825669524563 --as-of 2026-11-21T14:00
    """
    from pintally.cli.console import print_json, progress
    from pintally.sinks.reads.shards import number_of, read_common_cut, reading
    from pintally.streams.settings import load_settings

    with reading(load_settings(over_shards=True).clickhouse.shards) as connections:
        cuts = read_common_cut(connections, moment_of(as_of, "--as-of") if as_of else None)
        cut, distinct = cuts[0], list(dict.fromkeys(pins))
        at = {pin: number_of(pin, len(connections)) for pin in distinct}
        shown = {
            int(row["pin_id"]): row
            for number, (connection, own) in enumerate(zip(connections, cuts, strict=True))
            for row in read(connection, own, [pin for pin in distinct if at[pin] == number])
        }
        found = [shown[pin] for pin in distinct] if cut.published_at else []
    if as_json:
        print_json({"as_of": cut.published_at and cut.as_of.isoformat(), "pins": found})
    elif not found:
        progress.print("Nothing is known: no cut was published by then. The first one follows ten minutes of traffic.")
    for pin in [] if as_json else found:
        show(pin, cut.as_of)


def read(connection: Any, cut: Any, pins: list[int]) -> list[dict[str, Any]]:
    """Returns a row for each pin, in their order; None where a rate has nothing to divide by."""
    import numpy as np

    from pintally.sinks.reads.online import feature_types, read_features

    columns = read_features(connection, cut, np.array(pins, np.uint64), feature_types())
    # Ids are text, as in the contract: many languages round JSON numbers above 2^53.
    return [
        {"pin_id": str(pin)} | {name: _plain(column[place].item()) for name, column in columns.items()}
        for place, pin in enumerate(pins)
    ]


def _plain(value: float) -> float | None:
    return None if isnan(value) else value


def show(pin: dict[str, Any], as_of: datetime) -> None:
    """Print the features of one pin as a table: windows down, actions across."""
    from pintally.cli.console import data, table

    data.print(f"Pin {pin['pin_id']}, as of {as_of:%Y-%m-%d %H:%M} UTC", style="bold", highlight=False)
    made = table(None, "", *(action.heading for action in Action), "trusted")
    for window in WINDOWS:
        events, trusted = ([pin[f"{kind}{action.column}_{window}"] for action in Action] for kind in ("", "trusted_"))
        made.add_row(window, *(f"{each:,}" for each in events), f"{sum(trusted):,}")
    made.add_row(DECAYED.replace("_", " "), *(f"{pin[f'{action.column}_{DECAYED}']:,.1f}" for action in Action))
    for window in RATES:
        made.add_row(f"per close-up {window}", *(_rate(pin.get(f"{action.label}_rate_{window}")) for action in Action))
    data.print(made)
    data.print(f"trend of the last hour: {pin[TREND]:+.1f} standard deviations")


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
