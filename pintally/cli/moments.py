"""Moments that a person types."""

from datetime import UTC, datetime

from pintally.schemas.errors import PintallyError


def moment_of(text: str, option: str) -> datetime:
    """Returns a moment; UTC unless the text has a time zone. Raises PintallyError if it is not a time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise PintallyError(f"{option} {text!r} is not a time", "Write it as 2026-11-21T14:00.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
