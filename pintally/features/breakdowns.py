"""By what counts can be broken down, beside pin and window."""

from typing import Literal, get_args

from pintally.features.errors import UnknownFeature, WrongTime
from pintally.schemas.dimensions import Dimension
from pintally.sinks.reads.counts import BROKEN_DOWN, RESOLUTIONS

Resolution = Literal["1m", "1h", "1d"]
Breakdown = Literal["surface", "platform"]


def dimension_of(by: str | None, resolution: str) -> Dimension | None:
    """The dimension of that name; None for none. Raises UnknownFeature, and WrongTime for what has no counts by it."""
    if resolution not in RESOLUTIONS:
        raise WrongTime(f"there are no counts of resolution {resolution!r}", f"Choose one of {', '.join(RESOLUTIONS)}.")
    if by is None:
        return None
    if by not in get_args(Breakdown):
        raise UnknownFeature(f"there is no breakdown by {by!r}", f"Choose one of {', '.join(get_args(Breakdown))}.")
    if resolution not in BROKEN_DOWN:
        raise WrongTime(
            f"there is no breakdown of resolution {resolution!r}", f"Choose one of {', '.join(BROKEN_DOWN)}."
        )
    return Dimension[by.upper()]
