"""Addresses as people paste them: taken where they are clear, else refused with what to write. Pure."""

import re

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+._:-]*://")
QUOTES = "\"'`"


class Unusable(ValueError):
    """A setting that cannot be used. `shown` is its value without any password, or None if it must not be shown."""

    def __init__(self, shown: str | None, what: str, remedy: str) -> None:
        super().__init__(what)
        self.shown = shown
        self.what = what
        self.remedy = remedy


def servers_of(text: str) -> str:
    """Bootstrap servers as `host:port,host:port`. Spaces around them and empty places are dropped. Raises Unusable."""
    _refuse_quotes(text)
    if "@" in text:
        raise Unusable(
            redacted(text),
            "it holds a user or a password",
            f"Write host:port: {_bare(text)}. Set PINTALLY_KAFKA_USERNAME and PINTALLY_KAFKA_PASSWORD.",
        )
    servers = [server for part in text.split(",") if (server := part.strip())]
    if not servers:
        raise Unusable(text, "it names no server", "Write host:port, for instance broker-1:9092,broker-2:9092.")
    return ",".join(_server(server) for server in servers)


def host_of(text: str) -> str:
    """A host name or address alone; of an IPv6 address without its brackets. Raises Unusable."""
    _refuse_quotes(text)
    host = text.strip()
    if not host:
        raise Unusable(text, "it is empty", "Write the host alone, or unset it.")
    bare = _bare(host)
    name, port = _split(bare) if "[" in bare or not _is_ipv6(bare) else (bare, None)
    name = name.removeprefix("[").removesuffix("]")
    if (
        bare != host
        or port is not None
        or not name
        or "[" in name
        or "]" in name
        or (":" in name and not _is_ipv6(name))
    ):
        wrong = _wrong(host, bare) or ("it holds a port" if port is not None else "it is no host")
        ports = f", and its port {port} into PINTALLY_CLICKHOUSE_PORT or PINTALLY_CLICKHOUSE_HTTP_PORT" if port else ""
        raise Unusable(redacted(host), wrong, f"Write the host alone: {name or 'clickhouse'}{ports}.")
    if re.search(r"[\s,]", host):
        raise Unusable(redacted(host), "it holds more than one host", "Write one host.")
    return name


def redacted(text: str) -> str:
    """The text as it may be shown: without what stands before an @ or behind a ?, where passwords stand."""
    before, at, behind = text.rpartition("@")
    return (f"***{at}" if before else at) + re.sub(r"\?.*", "?***", behind, flags=re.DOTALL)


def _server(server: str) -> str:
    bare = _bare(server)
    host, port = _split(bare)
    if bare != server:
        raise Unusable(
            redacted(server), _wrong(server, bare), f"Write host:port: {host}:{port or 9092}.{_hint(server)}"
        )
    if re.search(r"\s", server):
        raise Unusable(redacted(server), "it holds a space or a line break", "Separate servers by commas: a:1,b:2.")
    if port is None:
        raise Unusable(server, "it has no port", f"Write host:port: {host}:9092 if Kafka listens at its usual port.")
    if not host:
        raise Unusable(server, "it has no host", f"Write host:port: broker:{port}.")
    if ":" in host and not host.startswith("["):
        last = host.rpartition(":")
        if _is_ipv6(f"{host}:{port}") or _is_ipv6(host):
            raise Unusable(server, "an IPv6 address needs brackets before its port", f"Write [{host}]:{port}.")
        raise Unusable(server, "it has more than one port", f"Write host:port, one port a server: {last[0]}:{port}.")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Unusable(server, f"{port!r} is no port", "Write host:port with a number from 1 to 65535.")
    return f"{host}:{int(port)}"


def _bare(text: str) -> str:
    """Without scheme, user, password, path and slashes."""
    return re.split(r"[/?#]", SCHEME.sub("", text).rpartition("@")[2])[0]


def _wrong(text: str, bare: str) -> str:
    """What is there that is no part of an address."""
    scheme = SCHEME.match(text)
    if scheme:
        return f"it begins with {scheme[0]!r}, as a URL does"
    if "@" in text:
        return "it holds a user or a password"
    return "it holds a slash" if bare != text else ""


def _hint(server: str) -> str:
    """Where what the scheme or the user says belongs."""
    scheme = SCHEME.match(server)
    name = scheme[0][:-3].upper() if scheme else ""
    if name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        return f" Set PINTALLY_KAFKA_SECURITY_PROTOCOL={name}."
    return ""


def _split(bare: str) -> tuple[str, str | None]:
    """Host, in brackets if it came so, and port."""
    if bare.startswith("["):
        host, _, rest = bare.partition("]")
        return f"{host}]", rest.removeprefix(":") or None
    host, colon, port = bare.rpartition(":")
    return (host, port) if colon else (bare, None)


def _is_ipv6(text: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f:.%]*::[0-9A-Fa-f:.%]*|([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}", text) is not None


def _refuse_quotes(text: str) -> None:
    stripped = text.strip()
    if stripped[:1] in QUOTES and stripped[:1]:
        raise Unusable(redacted(stripped.strip(QUOTES)), "it stands in quotes", "Write it without quotes.")
