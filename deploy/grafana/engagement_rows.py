"""The rows of the engagement dashboard, and the SQL of each panel: docs/tables.md explains the views.

Ids of pins are shown as text, because a browser rounds numbers above 2^53.
"""

from typing import Final

from deploy.grafana.panels import HALF, Kind, Panel, Query, Row, lines, stack, table
from pintally.schemas.actions import Action

COLUMNS: Final = ", ".join(action.column for action in Action)
SUMS: Final = ", ".join(f"sum({action.column}) AS {action.column}" for action in Action)
PIN: Final = "pin_id = toUInt64(${pin:singlequote})"
PINS: Final = "SELECT toString(pin_id) FROM pin_top_24h ORDER BY place LIMIT 100"


def over_time(view: str, columns: str = SUMS, condition: str = "") -> Query:
    """Sums of all pins, or of those that the condition leaves, in each window of a view."""
    return Query(
        f"SELECT window_start AS time, {columns}\nFROM {view}\n"
        f"WHERE $__timeFilter(window_start){condition}\nGROUP BY time\nORDER BY time"
    )


def top(view: str, columns: str) -> Query:
    """The first twenty of a view of top pins."""
    return Query(f"SELECT place, toString(pin_id) AS pin, {columns}, as_of\nFROM {view}\nORDER BY place\nLIMIT 20")


ALL: Final = Row("All pins", (
    stack("Events a minute", "Counted events by action, up to the last flush. The newest minute is not over.", "short",
          over_time("pin_engagement_1m"), width=HALF),
    stack("Events an hour", "The same by hour.", "short", over_time("pin_engagement_1h"), width=HALF),
))  # fmt: skip

TOP: Final = Row("Top pins at the newest cut", (
    table("Last hour", "The pins with the most events of the last hour.", top("pin_top_1h", f"{COLUMNS}, events")),
    table("Last 24 hours", "The pins with the most events of the last 24 hours.",
          top("pin_top_24h", f"{COLUMNS}, events")),
    table("Trending", "The pins whose last hour is furthest above their mean hour, in standard deviations.",
          top("pin_trending", f"{', '.join(f'{action.column}_1h' for action in Action)}, round(trend_1h, 1) AS trend")),
    table("Today", "The pins with the most events since 00:00 UTC.", top("pin_top_today", f"{COLUMNS}, events")),
))  # fmt: skip

ONE: Final = Row("One pin: ${pin}", (
    lines("Events a minute", "Of this pin.", "short",
          over_time("pin_engagement_1m", condition=f" AND {PIN}"), width=HALF),
    table("Features", "What a model is given for this pin at the newest cut.",
          Query(f"SELECT toString(pin_id) AS pin, * EXCEPT pin_id\nFROM pin_features_latest\nWHERE {PIN}")),
))  # fmt: skip

FRESH: Final = Row("How fresh, and how complete", (
    table("State of the data", "READY: no window is open. Hours and days until known_until are final.",
          Query("SELECT data, known_until, age_seconds, open_windows, corrected_windows, status\n"
                "FROM data_status\nORDER BY data")),
    table("Final hours", "An hour is final when no further event will be counted in it; corrections aside.",
          Query(f"SELECT window_start AS hour, {SUMS}, max(updated_at) AS updated, min(is_final) AS final\n"
                "FROM pin_engagement_1h\nWHERE $__timeFilter(window_start)\nGROUP BY hour\nORDER BY hour DESC")),
    Panel("Cuts: from the cut to its publication", "A cut is published when every source has passed its time.",
          (Query("SELECT cut AS time,"
                 " min(toUnixTimestamp64Milli(published_at)) / 1000 - toUnixTimestamp(cut) AS delay\n"
                 "FROM cuts\nWHERE $__timeFilter(cut)\nGROUP BY cut\nORDER BY cut"),), Kind.LINES, "s", HALF),
    Panel("Last count", "When ClickHouse last received a count, seconds ago.",
          (Query("SELECT toUnixTimestamp(now('UTC')) - toUnixTimestamp(max(updated_at)) AS age\n"
                 "FROM pin_engagement_1m\nWHERE $__timeFilter(window_start)"),), Kind.NUMBER, "s", HALF),
))  # fmt: skip

ROWS: Final = (ALL, TOP, ONE, FRESH)
