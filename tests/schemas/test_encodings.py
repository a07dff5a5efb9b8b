"""What a value is that is no JSON is named in the reason of its dead letter; nothing is claimed of what may be JSON."""

import gzip
import json
import lzma
import zlib
from base64 import b64encode
from bz2 import compress as bzip2

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pintally.audit.contract import read_event
from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from pintally.schemas.encodings import no_json, no_object
from pintally.schemas.events import ContractError, validate

EVENT = {
    "event_id": "7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11",
    "action": "save",
    "pin_id": "813744226420795884",
    "user_id": "91847",
    "occurred_at": 1795269600000,
}
TEXT = json.dumps(EVENT)
PLAIN = TEXT.encode()
MESSAGE_PACK = b"\x85\xa8event_id" + b"\xd9\x24" + b"7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11"
CBOR = b"\xa5\x68event_id" + b"\x78\x24" + b"7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11"
ENCODED = {
    "registry, JSON": (b"\x00\x00\x00\x00\x07" + PLAIN, "framed by a schema registry"),
    "registry, Protobuf's message index, JSON": (b"\x00\x00\x00\x00\x07\x00\x0a\x24abc", "no JSON follows"),
    "registry, Avro": (b"\x00\x00\x00\x01\x00H7d0bd1a6", "no JSON follows"),
    "Glue": (b"\x03\x00" + bytes(range(16)) + PLAIN, "Glue"),
    "Avro file": (b"Obj\x01\x04\x14avro.codec", "Avro file"),
    "Avro single object": (b"\xc3\x01" + bytes(8) + b"abc", "single-object"),
    "gzip": (gzip.compress(PLAIN), "gzip"),
    "zstd": (zstandard.compress(PLAIN), "zstd"),
    "lz4": (lz4.frame.compress(PLAIN), "lz4"),
    "snappy stream": (b"\xff\x06\x00\x00sNaPpY\x01", "snappy"),
    "snappy of Java": (b"\x82SNAPPY\x00\x00\x00\x00\x01", "snappy"),
    "zlib": (zlib.compress(PLAIN), "zlib"),
    "bzip2": (bzip2(PLAIN), "bzip2"),
    "xz": (lzma.compress(PLAIN), "xz"),
    "UTF-8 with a mark": (TEXT.encode("utf-8-sig"), "byte order mark (UTF-8)"),
    "UTF-16 with a mark": (TEXT.encode("utf-16"), "UTF-16"),
    "UTF-16 big endian": (TEXT.encode("utf-16-be"), "UTF-16"),
    "UTF-16 little endian": (TEXT.encode("utf-16-le"), "UTF-16"),
    "UTF-32": (TEXT.encode("utf-32"), "UTF-32"),
    "MessagePack": (MESSAGE_PACK, "MessagePack"),
    "CBOR": (CBOR, "CBOR"),
    "BSON": ((16).to_bytes(4, "little") + b"\x02a\x00\x04\x00\x00\x00abc\x00\x00"[:11] + b"\x00", "BSON"),
    "base64": (b64encode(PLAIN), "base64"),
    "base64 in a string": (json.dumps(b64encode(PLAIN).decode()).encode(), "base64"),
    "encoded twice": (json.dumps(TEXT).encode(), "encoded twice"),
    "array": (f"[{TEXT},{TEXT}]".encode(), "an array"),
    "lines": (f"{TEXT}\n{TEXT}\n".encode(), "more than one JSON document"),
    "two with a comma": (f"{TEXT},{TEXT}".encode(), "more than one JSON document"),
    "empty": (b"", "it is empty"),
    "white space": (b" \n", "white space"),
    "null": (b"null", "it is null"),
    "XML": (b"<?xml version='1.0'?><event/>", "XML"),
    "Python": (str(EVENT).encode(), "single quotes"),
    "zero bytes behind": (PLAIN + b"\x00", "zero bytes"),
    "Kafka Connect": (json.dumps({"schema": {}, "payload": EVENT}).encode(), "schemas.enable=false"),
    "CloudEvents": (json.dumps({"specversion": "1.0", "data": EVENT}).encode(), "binary mode"),
    "an envelope": (json.dumps({"payload": EVENT, "meta": 1}).encode(), "within its field 'payload'"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_the_reason_says_what_a_value_is_and_what_to_do(name: str) -> None:
    value, said = ENCODED[name]
    with pytest.raises(ContractError) as refused:
        validate(value, Action.SAVE)
    assert refused.value.reason.startswith(
        ("value: must be JSON; ", "value: must be a JSON object; ", "value: must be the event")
    )
    assert said in refused.value.reason
    assert ("; " in refused.value.reason.partition("; ")[2]) or "send" in refused.value.reason
    assert "813744226420795884" not in refused.value.reason
    assert read_event(value, "save") is None


def test_a_chunk_says_the_same() -> None:
    values = [value for value, _ in ENCODED.values()]
    decoded = decode(Values.of([*values, PLAIN]), Action.SAVE)
    for place, (_, said) in enumerate(ENCODED.values()):
        assert said in decoded.reasons[place]
    assert decoded.valid.tolist() == [False] * len(values) + [True]


def test_a_missing_value_is_a_tombstone() -> None:
    with pytest.raises(ContractError, match="tombstone"):
        validate(None, Action.SAVE)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_nothing_is_claimed_of_json(content: object, indent: int | None, ascii_only: bool) -> None:
    assert no_json(json.dumps(content, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")) is None


@given(
    st.binary()
    | st.sampled_from([value[:8] for value, _ in ENCODED.values()]).flatmap(lambda v: st.binary().map(v.__add__))
)
def test_any_bytes_get_a_reason_and_the_audit_refuses_them_too(value: bytes) -> None:
    found = no_json(value)
    assert found is None or found
    with pytest.raises(ContractError) as refused:
        validate(value, Action.SAVE)
    assert refused.value.reason.isprintable()
    assert read_event(value, "save") is None


@given(JSON)
def test_any_json_gets_an_answer(content: object) -> None:
    found = no_object(content)
    assert found is None or isinstance(found, str)
