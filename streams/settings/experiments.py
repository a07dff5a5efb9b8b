"""Names of experiments in a setting. Pure."""

from pintally.schemas.events import MAX_LABEL
from pintally.schemas.experiments import names_of
from pintally.streams.settings.addresses import Unusable


def experiments_of(text: str) -> str:
    """Names of experiments as `checkout,feed`, each once and ascending, or `*`. Raises Unusable."""
    names = names_of(text)
    if long := [name for name in names if len(name) > MAX_LABEL]:
        raise Unusable(
            text,
            f"{long[0]!r} is longer than {MAX_LABEL} characters, so no event names it",
            "Set PINTALLY_EXPERIMENTS to names of experiments, separated by commas, or to * for all.",
        )
    return ",".join(names)
