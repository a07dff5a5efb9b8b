"""JSON framed by a schema registry (E12): five bytes stand before it, a byte 0 and four bytes of a schema id.

The format is the wire format of the Confluent Schema Registry. The id is never looked up. Which topics are framed is a
counting rule, `prefix_bytes`, and no guess. But JSON cannot begin with a byte 0, so whoever only shows or corrects a
value may tell by its first byte whether it is framed.
"""

from typing import Final

PREFIX_BYTES: Final = 5
MAGIC: Final = 0  # the first of them
NO_SCHEMA: Final = bytes(PREFIX_BYTES)  # schema id 0, which a registry gives to no schema


def not_framed(label: str) -> str:
    """The reason of a value without the five bytes, on a topic of the action `label` that is framed."""
    return (
        "value: must be framed by a schema registry, a byte 0 and four bytes of a schema id before its JSON; serialize "
        f"with the schema registry, or take {label} out of PINTALLY_FRAMED_TOPICS"
    )


def is_framed(value: bytes | None) -> bool:
    """Whether a value begins as framed ones do."""
    return value is not None and len(value) >= PREFIX_BYTES and value[0] == MAGIC


def prefix_of(value: bytes | None) -> bytes:
    """The five bytes; none if the value is not framed."""
    return value[:PREFIX_BYTES] if value is not None and is_framed(value) else b""


def without_prefix(value: bytes | None) -> bytes | None:
    """What follows the five bytes; the value itself if it is not framed."""
    return value if value is None else value[len(prefix_of(value)) :]


def framed_as(json: bytes, prefix_bytes: int, original: bytes | None) -> bytes:
    """This JSON as a topic with this `prefix_bytes` takes it: framed as `original` is, else with schema id 0."""
    return (prefix_of(original) or NO_SCHEMA) + json if prefix_bytes else json
