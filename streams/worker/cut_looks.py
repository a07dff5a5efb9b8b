"""When to look whether the next cut is closed (C26). Pure; times in ms since 1970.

A cut is due at its time if every source had records of late, and after the idle margin if one had none: it counts with
the clock less the margin (C22). When it is due, it is looked for each second for ten seconds, and then at the ordinary
interval. So a source that goes idle, or is behind, costs ten looks and not one a second until it is over.
"""

from pintally.schemas.rules import ARRIVAL_BUCKET_MS

SOON_SECONDS = 1.0
EAGER_MS = 10_000


def due(passed_ms: int | None, looked_at_ms: int, idle_margin_ms: int) -> int | None:
    """When the next cut can be closed, as far as the last look tells; None where it does not.

    `passed_ms` is what every source had reached at that look.
    """
    if passed_ms is None or passed_ms < looked_at_ms - idle_margin_ms:  # a source has a backlog
        return None
    next_cut = (passed_ms // ARRIVAL_BUCKET_MS + 1) * ARRIVAL_BUCKET_MS
    return next_cut + idle_margin_ms if passed_ms == looked_at_ms - idle_margin_ms else next_cut


def seconds_to_next_look(now_ms: float, due_ms: int | None, ordinary_seconds: float) -> float:
    """How long to wait, at most the ordinary interval."""
    if due_ms is None or now_ms >= due_ms + EAGER_MS:
        return ordinary_seconds
    until_due = (due_ms - now_ms) / 1000
    return min(ordinary_seconds, until_due if until_due > 0 else SOON_SECONDS)
