"""What can be wrong with a question, each with its remedy."""

from pintally.schemas.errors import PintallyError


class FeaturesError(PintallyError):
    """A question that has no answer. All other errors of `pintally.features` are those of ClickHouse: SinkError."""


class NotAFrame(FeaturesError):
    """What was given is neither a frame nor a column that `pintally.features` takes."""


class UnknownFeature(FeaturesError):
    """A feature that there is not."""


class WrongColumn(FeaturesError):
    """A column is missing, has a type that does not fit, holds nulls, or has the name of a feature."""


class NaiveTimestamps(FeaturesError):
    """Times without a time zone: it is unknown which moments they are."""


class WrongTime(FeaturesError):
    """A moment of which nothing can be said: before the first cut, in the future, or an end before its start."""
