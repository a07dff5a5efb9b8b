"""What `pintally top` can be asked for, and which of its options go together."""

from enum import StrEnum

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError


class Resolution(StrEnum):
    """Length of a past window; the view of that name has its counts."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


COLUMNS = tuple(action.column for action in Action)
TRUSTED = tuple(f"trusted_{column}" for column in COLUMNS)
ALL, ALL_TRUSTED, TREND = "all", "trusted", "trend"
# As pintally.sinks.reads.windows has them, which is not imported, so that --help is quick.
RECENT = {
    "today": "today so far",
    "24h": "the last 24 hours",
    "1h": "the last hour",
    "10m": "the last ten minutes",
}


def refuse_what_does_not_go_together(
    window: str | None, resolution: Resolution | None, by: str, as_of: str | None, live: bool
) -> None:
    """Raises PintallyError for options of which one says nothing beside another."""
    past = resolution is not None or (window is not None and window not in RECENT)
    if live and as_of:
        raise PintallyError("--live and --as-of exclude each other", "Leave out one of them.")
    if live and past:
        raise PintallyError("--live is for today, 24h, 1h and 10m", "Leave it out: past windows include all counts.")
    if by == TREND and (past or live or window not in (None, "1h")):
        raise PintallyError("--by trend is for the last hour, as known at a cut", "Leave out --window and --live.")
    if resolution and window in RECENT:
        raise PintallyError(f"--resolution is for past windows, and {window} is not one", "Leave out --resolution.")
    if as_of and resolution is Resolution.MINUTE:
        raise PintallyError("what was known of single minutes is not kept", "Ask for an hour: --resolution 1h.")
    if as_of and resolution and not window:
        raise PintallyError("--as-of does not say which past window", "Add --window and its start.")
