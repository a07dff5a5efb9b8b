"""Moments that a person types."""

from datetime import UTC, datetime

from pintally.schemas.errors import PintallyError

YEARS = range(1970, 2106)  # of which ClickHouse's DateTime has every day


def moment_of(text: str, option: str) -> datetime:
    """Returns a moment; UTC unless the text has a time zone. Raises PintallyError if it is not a time of YEARS."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise PintallyError(f"{option} {text!r} is not a time", "Write it as 2026-11-21T14:00.") from error
    if moment.year not in YEARS:
        raise PintallyError(
            f"{option} {text!r} is a time that has no counts", f"Choose a year of {YEARS[0]} to {YEARS[-1]}."
        )
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
