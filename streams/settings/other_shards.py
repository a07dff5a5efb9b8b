"""Servers of further shards as people write them. Pure."""

import re

from pintally.streams.settings.addresses import Unusable, redacted

PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@?#]+)(?::(\d{1,5}))?(?::(\d{1,5}))?")


def shards_of(text: str) -> str:
    """The servers with commas between them, without spaces and empty places. Raises Unusable."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    for each in named:
        found = PLACE.fullmatch(each)
        if not found or not all(0 < int(port) < 65536 for port in found.groups()[1:] if port):
            raise Unusable(
                redacted(text),
                f"{redacted(each)!r} is no server of ClickHouse",
                "Write host:port:http_port, with commas between servers: ch-2:9000:8123,ch-3:9000:8123.",
            )
    if len(set(named)) < len(named):
        raise Unusable(redacted(text), "it names a server twice", "Each shard is a server of its own.")
    return ",".join(named)


def ports_of(server: str, port: int, http_port: int) -> tuple[str, int, int]:
    """Host (of an IPv6 address without its brackets), native port and HTTP port of one of `shards_of`."""
    found = PLACE.fullmatch(server)
    assert found
    return found[1].strip("[]"), int(found[2] or port), int(found[3] or http_port)
