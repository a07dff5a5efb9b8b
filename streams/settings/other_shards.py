"""Servers of further shards as people write them. Pure."""

import re
from typing import NamedTuple

from pintally.streams.settings.addresses import Unusable, redacted

PLACE = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@?#]+)(?::(?P<port>\d{1,5}))?(?::(?P<http_port>\d{1,5}))?"
    r"(?:/(?P<database>[\w.-]+))?"
)


class Named(NamedTuple):
    """Where a shard is: a database of a server."""

    host: str  # of an IPv6 address without its brackets
    port: int
    http_port: int
    database: str


def shards_of(text: str) -> str:
    """The shards with commas between them, without spaces and empty places. Raises Unusable."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    for each in named:
        found = PLACE.fullmatch(each)
        if not found or not all(0 < int(found[port] or 1) < 65536 for port in ("port", "http_port")):
            raise Unusable(
                redacted(text),
                f"{redacted(each)!r} is no server of ClickHouse",
                "Write host:port:http_port or host:port:http_port/database, with commas between shards: "
                "ch-2:9000:8123,ch-2:9000:8123/pintally_2.",
            )
    if len(set(named)) < len(named):
        raise Unusable(redacted(text), "it names a shard twice", "Each shard is a database of its own.")
    return ",".join(named)


def place_of(shard: str, first: Named) -> Named:
    """Where one of `shards_of` is. What it leaves out is as of the first shard."""
    found = PLACE.fullmatch(shard)
    assert found
    ports = int(found["port"] or first.port), int(found["http_port"] or first.http_port)
    return Named(found["host"].strip("[]"), *ports, found["database"] or first.database)
