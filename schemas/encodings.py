"""What a value is that is no JSON: named in the reason of its dead letter, with what its producer should change.

Only what its bytes show is said: marks of formats at its beginning, never a guess. Asked of invalid records alone.
"""

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any, Final

PLAIN: Final = "send the JSON itself"
BATCHES: Final = f"{PLAIN}, and let the Kafka client compress batches (compression.type)"
ONE: Final = "send each event as a record of its own"
REGISTRY: Final = "serialize plain JSON, without a schema registry or with the schema id in headers"
FRAMED: Final = f"{REGISTRY}; or name its action in PINTALLY_FRAMED_TOPICS, if all of its topic is framed"

MARKS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x1f\x8b", "it is compressed: it begins as gzip does", BATCHES),
    (b"\x28\xb5\x2f\xfd", "it is compressed: it begins as zstd does", BATCHES),
    (b"\x04\x22\x4d\x18", "it is compressed: it begins as an lz4 frame does", BATCHES),
    (b"\xff\x06\x00\x00sNaPpY", "it is compressed: it begins as a snappy stream does", BATCHES),
    (b"\x82SNAPPY\x00", "it is compressed: it begins as snappy from Java does", BATCHES),
    (b"BZh", "it is compressed: it begins as bzip2 does", BATCHES),
    (b"\xfd7zXZ\x00", "it is compressed: it begins as xz does", BATCHES),
    (b"PK\x03\x04", "it is compressed: it begins as zip does", BATCHES),
    (b"Obj\x01", "it begins as an Avro file does", PLAIN),
    (b"\xc3\x01", "it begins as Avro's single-object encoding does", PLAIN),
    (b"PAR1", "it begins as Parquet does", PLAIN),
    (b"\xac\xed\x00\x05", "it begins as a serialized Java object does", PLAIN),
    (b"\xef\xbb\xbf", "it begins with a byte order mark (UTF-8)", "send it without"),
    (b"\xff\xfe\x00\x00", "it is UTF-32: it begins with its byte order mark", "encode as UTF-8"),
    (b"\xff\xfe", "it is UTF-16: it begins with its byte order mark", "encode as UTF-8"),
    (b"\xfe\xff", "it is UTF-16: it begins with its byte order mark", "encode as UTF-8"),
    (b"{\x00", "it is UTF-16, without a byte order mark", "encode as UTF-8"),
    (b"\x00{\x00", "it is UTF-16, without a byte order mark", "encode as UTF-8"),
)


def no_json(value: bytes) -> str | None:
    """What a value is that no JSON parser takes, and what to do; None if its bytes do not show it."""
    if not value:
        return f"it is empty; {PLAIN}"
    if not value.strip(b" \t\r\n"):
        return f"it is nothing but white space; {PLAIN}"
    for mark, what, remedy in MARKS:
        if value.startswith(mark):
            return f"{what}; {remedy}"
    return _framed(value) or _packed(value) or _text(value)


def no_object(content: Any) -> str | None:
    """What JSON is that is no object, and what to do."""
    if content is None:
        return f"it is null; {ONE}"
    if isinstance(content, list):
        return f"it is an array; {ONE}"
    if isinstance(content, str):
        if _is_object(content):
            return f"it is a string that holds JSON, encoded twice; {PLAIN}"
        if _is_base64(content.encode(errors="replace")):
            return f"it is a string that holds base64 of JSON; {PLAIN}"
    return None


def wrapped(content: Mapping[str, Any]) -> str | None:
    """What an object is that has no field of ours, and what to do."""
    if "specversion" in content:
        return "it is a CloudEvent in structured mode; send its data, in binary mode"
    if content.keys() == {"schema", "payload"}:
        return "it is what Kafka Connect's JsonConverter writes with schemas; set schemas.enable=false"
    for inner in ("payload", "data", "event", "value", "after"):
        if isinstance(content.get(inner), dict) and "event_id" in content[inner]:
            return f"the event stands within its field {inner!r}; send that alone"
    return None


def _framed(value: bytes) -> str | None:
    """Behind the marks of a schema registry."""
    if value[0] == 0 and len(value) > 5:
        rest = value[5:].lstrip(b" \t\r\n")
        if rest[:1] in (b"{", b"["):
            return f"it is framed by a schema registry: a byte 0 and a schema id stand before its JSON; {FRAMED}"
        return (
            "it begins with a byte 0 and four more, as a schema registry frames values, and no JSON follows "
            f"(Avro and Protobuf are written so); {REGISTRY}"
        )
    if value[0] == 3 and len(value) > 18 and value[1] in (0, 5) and value[18:19] in (b"{", b"["):
        return f"it is framed by the Glue schema registry: eighteen bytes stand before its JSON; {REGISTRY}"
    return None


def _packed(value: bytes) -> str | None:
    """A map of names in binary. The first name must be there, whole."""
    first, second = value[0], value[1] if len(value) > 1 else 0
    if (0x81 <= first <= 0x8F and _names(value, 2, second, 0xA0)) or (
        first == 0xDE and len(value) > 4 and _names(value, 4, value[3], 0xA0)
    ):
        return f"it begins as MessagePack does; {PLAIN}"
    if (0xA1 <= first <= 0xB7 or first == 0xBF) and _names(value, 2, second, 0x60):
        return f"it begins as CBOR does; {PLAIN}"
    if len(value) > 5 and int.from_bytes(value[:4], "little") == len(value) and value[-1] == 0:
        return f"it begins as BSON does; {PLAIN}"
    if first == 0x78 and second and (first * 256 + second) % 31 == 0:
        return f"it is compressed: it begins as zlib does; {BATCHES}"
    return None


def _names(value: bytes, start: int, head: int, kind: int) -> bool:
    """Whether a string of the length that `head` says stands there, and is a name."""
    length = head - kind
    name = value[start : start + length]
    return 0 < length < 24 and len(name) == length and name.isascii() and name.decode().isidentifier()


def _text(value: bytes) -> str | None:
    begun = value.lstrip(b" \t\r\n")
    if begun.startswith((b"<?xml", b"<!DOCTYPE", b"<html")) or (
        begun.startswith(b"<") and begun.rstrip().endswith(b">")
    ):
        return f"it begins as XML or HTML does; {PLAIN}"
    if begun.startswith((b"{'", b"[{'")):
        return "its names stand in single quotes, as Python prints them; send what json.dumps returns"
    if _is_base64(value):
        return f"it is base64 of JSON; {PLAIN}"
    if begun.startswith(b"{") and _is_several(value):
        return f"it holds more than one JSON document; {ONE}"
    if 0 in value:
        return f"it holds zero bytes, as text does not; {PLAIN}"
    return None


def _is_several(value: bytes) -> bool:
    try:
        text = value.decode().lstrip(" \t\r\n")
        first, end = json.JSONDecoder().raw_decode(text)
        return isinstance(first, dict) and text[end:].lstrip(" \t\r\n,").startswith("{")
    except (ValueError, RecursionError):
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except (ValueError, RecursionError):
        return False


def _is_base64(value: bytes) -> bool:
    try:
        return b64decode(value.strip(), validate=True).lstrip(b" \t\r\n").startswith((b'{"', b'[{"'))
    except (NotBase64, ValueError):
        return False
