"""Edited dead letters: JSON lines as `pintally dlq show --json` prints them."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pintally.schemas.errors import PintallyError
from pintally.schemas.framing import framed_as
from pintally.streams.operations.replay.correct import fields_of, written


class Edited(BaseModel):
    """One line: a dead letter and its new value. If a value is given in several ways, the first one counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    origin: str = Field(pattern=r"^[^\[\]@]+\[\d{1,9}\]@\d{1,18}$")
    topic_id: UUID
    value: dict[str, Any] | None = None
    text: str | None = None
    base64: str | None = None

    def value_for(self, original: bytes | None, prefix_bytes: int) -> bytes | None:
        """Returns the value to send instead of `original`; `original` itself if the fields are equal.

        Fields are framed as a topic with this `prefix_bytes` asks; text and base64 are complete values.
        Raises ValueError for invalid base64, and for text with half a surrogate pair.
        """
        if self.value is not None:
            return (
                original
                if fields_of(original) == self.value
                else framed_as(written(self.value), prefix_bytes, original)
            )
        if self.text is not None:
            return self.text.encode()
        return None if self.base64 is None else b64decode(self.base64, validate=True)


def read_edited(lines: Iterable[str], name: str) -> list[Edited]:
    """Returns the lines of the file `name`, without empty ones. Raises PintallyError with line and field."""
    found: dict[tuple[str, UUID], Edited] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            edited = Edited.model_validate_json(line)
            edited.value_for(None, 0)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise _wrong(f"{name}:{number}: {where + ': ' if where else ''}{first['msg']}") from error
        except ValueError as error:
            raise _wrong(f"{name}:{number}: {error}") from error
        if found.setdefault((edited.origin, edited.topic_id), edited) is not edited:
            raise _wrong(f"{name}:{number}: {edited.origin} occurs twice")
    return list(found.values())


def _wrong(what: str) -> PintallyError:
    return PintallyError(what, "Each line must be a line of `pintally dlq show --json`, with an edited value.")
