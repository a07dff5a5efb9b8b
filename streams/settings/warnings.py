"""What is set and probably not meant: it stops nothing, but whoever set it should know. Pure."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

# Read elsewhere than in the settings.
OTHERS = ("WORKER_PASSWORD", "READER_PASSWORD", "RESTARTED", "REQUIRE_AUDIT")
# Kubernetes sets these in every container beside a service whose name begins like our variables.
LINKS = re.compile(r".*_SERVICE_(HOST|PORT.*)|(.*_)?PORT_\d+_(TCP|UDP|SCTP).*|SERVICE_(HOST|PORT.*)")
LINK = re.compile(r"(tcp|udp|sctp)://")


def warnings_of(given: Mapping[str, str], settings: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """A sentence each, for people. `given` are environment variables, `settings` the values by name of field."""
    known = [name.upper() for name in settings]
    for name in sorted(name.removeprefix(prefix) for name in given if name.startswith(prefix)):
        if name in known or name in OTHERS or name.startswith("TEST_"):
            continue
        if LINKS.fullmatch(name) or LINK.match(given[prefix + name]):
            continue
        near = get_close_matches(name, [*known, *OTHERS], 1, 0.75)
        meant = f"did you mean {prefix}{near[0]}?" if near else "README.md lists all settings."
        yield f"no setting has the name {prefix}{name}; it is ignored: {meant}"
    if "SSL" not in settings["kafka_security_protocol"]:
        protocol = settings["kafka_security_protocol"]
        for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file"):
            if settings[name]:
                wanted = protocol.replace("PLAINTEXT", "SSL")
                yield (
                    f"{prefix}{name.upper()} is ignored: {prefix}KAFKA_SECURITY_PROTOCOL={protocol} encrypts nothing; "
                    f"for TLS set it to {wanted}."
                )
    elif settings["kafka_key_file"] and not settings["kafka_cert_file"]:
        yield f"{prefix}KAFKA_KEY_FILE is ignored: a key needs its certificate, {prefix}KAFKA_CERT_FILE."
    if settings["clickhouse_ca_file"] and not settings["clickhouse_secure"]:
        yield (
            f"{prefix}CLICKHOUSE_CA_FILE is ignored: {prefix}CLICKHOUSE_SECURE=false encrypts nothing; "
            "for TLS set it to true, and the ports to those for TLS."
        )
