"""The features that there are: the columns of the view `pin_features_latest`."""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import Final

from pintally.features.entities import PIN_ID
from pintally.features.errors import UnknownFeature, WrongColumn
from pintally.sinks.clickhouse.dictionary import views

VIEW: Final = "pin_features"  # as a Feast feature view is named: "pin_features:saves_7d" is the same as "saves_7d"
LATEST: Final = "pin_features_latest"
AS_OF: Final = "as_of"
PUBLISHED_AT: Final = "published_at"


@cache
def known_features() -> tuple[str, ...]:
    """The names of all features, in the order of the view."""
    return tuple(each.name for each in views()[LATEST].columns if each.name not in (PIN_ID, AS_OF))


def asked_for(features: Sequence[str] | None) -> list[str]:
    """The names without that of the view; all features if there are none. Raises UnknownFeature."""
    if isinstance(features, str):
        raise UnknownFeature(f"features is the text {features!r}", f"Give a list: [{features!r}].")
    names = [name.removeprefix(f"{VIEW}:") for name in features or known_features()]
    for name in names:
        if name not in known_features():
            near = get_close_matches(name, known_features(), 1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise UnknownFeature(f"there is no feature {name!r}", f"{meant}There are: {', '.join(known_features())}.")
    return list(dict.fromkeys(names))


def types_of(features: Sequence[str]) -> dict[str, str]:
    """The features and their types in ClickHouse."""
    types = {each.name: each.type for each in views()[LATEST].columns}
    return {name: types[name] for name in features}


def refuse_taken(columns: Sequence[str], features: Sequence[str]) -> None:
    """Raises WrongColumn if a frame has a column already that a feature would overwrite."""
    if taken := [name for name in (*features, AS_OF) if name in columns]:
        raise WrongColumn(f"the frame has a column {taken[0]!r} already", "Rename it, or leave the feature out.")
