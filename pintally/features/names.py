"""The features that there are: the columns of the view `pin_features_latest`."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from pintally.features.errors import UnknownFeature, WrongColumn
from pintally.sinks.reads.online import feature_types

VIEW: Final = "pin_features"  # as a Feast feature view is named: "pin_features:saves_7d" is the same as "saves_7d"
AS_OF: Final = "as_of"
PUBLISHED_AT: Final = "published_at"


def asked_for(features: Sequence[str] | None) -> list[str]:
    """The names without that of the view; all features if there are none. Raises UnknownFeature."""
    if isinstance(features, str):
        raise UnknownFeature(f"features is the text {features!r}", f"Give a list: [{features!r}].")
    known = feature_types()
    asked = [] if features is None else list(features)
    names = [str(name).removeprefix(f"{VIEW}:") for name in asked or known]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise UnknownFeature(f"there is no feature {name!r}", f"{meant}There are: {', '.join(known)}.")
    return list(dict.fromkeys(names))


def types_of(features: Sequence[str]) -> dict[str, str]:
    """The features and their types in ClickHouse."""
    return {name: feature_types()[name] for name in features}


def refuse_taken(columns: Sequence[str], features: Sequence[str]) -> None:
    """Raises WrongColumn if a frame has a column already that a feature would overwrite."""
    if taken := [name for name in (*features, AS_OF) if name in columns]:
        raise WrongColumn(f"the frame has a column {taken[0]!r} already", "Rename it, or leave the feature out.")
