"""What people set: which variables cannot be used, which are probably not meant, which nobody set at all."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from pintally.schemas.errors import PintallyError
from pintally.streams.settings.addresses import Unusable, redacted

PREFIX = "PINTALLY_"
LOCAL_DIR = Path(".pintally")  # data, logs and addresses of the local engines
LOCAL_ENV = LOCAL_DIR / "engines.env"  # written by `pintally up`

PASSWORDS = {  # read by `pintally users` alone
    "WORKER_PASSWORD": "Password that `users` gives to the ClickHouse user pintally_worker.",
    "READER_PASSWORD": "Password that `users` gives to the ClickHouse user pintally_reader.",
}
OTHERS = (*PASSWORDS, "RESTARTED", "REQUIRE_AUDIT")  # read elsewhere than in the settings
RENAMED = {
    "KAFKA": "KAFKA_BOOTSTRAP_SERVERS",
    "GROUP": "KAFKA_GROUP_ID",
    "INSTANCE": "KAFKA_GROUP_INSTANCE_ID",
    "TICK_SECONDS": "FLUSH_INTERVAL_SECONDS",
    "MAX_UNEMITTED_CELLS": "MAX_PENDING_CELLS",
}
LONGEST = 200  # characters of a value that are shown
BOUNDS = {
    "greater_than": ("gt", "above {gt}"),
    "greater_than_equal": ("ge", "{ge} or more"),
    "less_than_equal": ("le", "{le} or less"),
}

# Kubernetes sets variables in every container beside a service: service links. One named pintally-clickhouse makes
# PINTALLY_CLICKHOUSE_PORT=tcp://10.96.0.12:9000, which is no port that somebody asked for; Docker's links did the same.
LINK = re.compile(r"(tcp|udp|sctp)://(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d+")
LINK_NAMES = re.compile(r".*_SERVICE_(HOST|PORT.*)|(.*_)?PORT_\d+_(TCP|UDP|SCTP).*|SERVICE_(HOST|PORT.*)")
LINK_VALUES = re.compile(r"(tcp|udp|sctp)://")


class EnvironmentWithoutLinks(EnvSettingsSource):
    """The environment as settings read it, service links left out: what else sets them, or their default, holds."""

    def __call__(self) -> dict[str, Any]:
        """Values by name of field."""
        return {name: value for name, value in super().__call__().items() if not is_service_link(name, value)}


def is_service_link(name: str, value: object) -> bool:
    """Whether a variable has the name and the value that Kubernetes gives the port of a service."""
    return name.upper().endswith("PORT") and isinstance(value, str) and LINK.fullmatch(value) is not None


def explained(error: ValidationError, fields: Mapping[str, tuple[str, FieldInfo]]) -> PintallyError:
    """The first fault as an error that names the variable, its value and what to write. Shows no password.

    `fields` are variables and fields by name of field.
    """
    fault = error.errors(include_url=False)[0]
    name, field = fields[str(fault["loc"][0])]
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, Unusable):
        shown = "" if cause.shown is None else f"={cause.shown!r}"
        return PintallyError(f"setting {name}{shown}: {cause.what}", cause.remedy)
    value = fault["input"]
    shown = "" if field.annotation is SecretStr else f"={redacted(str(value))[:LONGEST]!r}"
    what, wanted = _wanted(fault, value, field, name)
    return PintallyError(f"setting {name}{shown}: {what}", f"Set {name} to {wanted}, or unset it for its default.")


def _wanted(fault: Mapping[str, Any], value: Any, field: FieldInfo, name: str) -> tuple[str, str]:
    """What is wrong, and what it may be."""
    kind, given = fault["type"], fault.get("ctx", {})
    text = str(value).strip()
    number = _number(name)
    if kind in BOUNDS:
        bound = BOUNDS[kind][1].format(**given)
        return f"it must be {bound}", f"{number} {bound}"
    if not text:
        return "it is set, but empty", "a valid value"
    if text[0] in "\"'`":
        return "it stands in quotes", "its value without quotes"
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(field.annotation)]
        return "it is none of the values that it may have", f"a valid value: {', '.join(choices)}"
    if kind.startswith("bool"):
        return "it must be true or false", "a valid value: true or false"
    if kind.startswith(("int", "float", "finite")):
        unit = ", without a unit" if text[0].isdigit() else ""
        return f"it must be a number{unit}", f"a valid value: {number}{unit}"
    return str(fault["msg"]), "a valid value"


def _number(name: str) -> str:
    for unit in ("SECONDS", "DAYS"):
        if name.endswith(unit):
            return f"a number of {unit.lower()}"
    return "a port, a number from 1 to 65535," if name.endswith("PORT") else "a number"


def refuse_renamed(given: Mapping[str, str]) -> None:
    """Raises PintallyError for a variable with a name that it had once: what it says would not hold."""
    for old, new in RENAMED.items():
        if PREFIX + old in given:
            raise PintallyError(f"setting {PREFIX}{old}: it has another name now", f"Set {PREFIX}{new} instead.")


def warnings_of(given: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[str]:
    """What is set and probably not meant, a sentence each. `given` are variables, `values` the settings by name."""
    known = [name.upper() for name in values]
    ours = {name.removeprefix(PREFIX): value for name, value in sorted(given.items()) if name.startswith(PREFIX)}
    if links := [
        f"{PREFIX}{name}={ours[name]}" for name in ours if name in known and is_service_link(name, ours[name])
    ]:
        yield (
            f"ignored, as Kubernetes makes them of a service's name: {', '.join(links)}. "
            "Set `enableServiceLinks: false` in the pod's spec, or set the variables to what is meant."
        )
    for name in ours:
        if (
            name in known
            or name in OTHERS
            or name.startswith("TEST_")
            or LINK_NAMES.fullmatch(name)
            or LINK_VALUES.match(ours[name])
        ):
            continue
        near = get_close_matches(name, [*known, *OTHERS], 1, 0.75)
        meant = f"did you mean {PREFIX}{near[0]}?" if near else "README.md lists all settings."
        yield f"no setting has the name {PREFIX}{name}; it is ignored: {meant}"
    yield from _ignored_files(values)


def _ignored_files(values: Mapping[str, Any]) -> Iterator[str]:
    """Files of certificates and keys that are not used."""
    protocol = values["kafka_security_protocol"]
    if "SSL" not in protocol:
        for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file"):
            if values[name]:
                wanted = protocol.replace("PLAINTEXT", "SSL")
                yield (
                    f"{PREFIX}{name.upper()} is ignored: {PREFIX}KAFKA_SECURITY_PROTOCOL={protocol} encrypts nothing; "
                    f"for TLS set it to {wanted}."
                )
    elif values["kafka_key_file"] and not values["kafka_cert_file"]:
        yield f"{PREFIX}KAFKA_KEY_FILE is ignored: a key needs its certificate, {PREFIX}KAFKA_CERT_FILE."
    if values["clickhouse_ca_file"] and not values["clickhouse_secure"]:
        yield (
            f"{PREFIX}CLICKHOUSE_CA_FILE is ignored: {PREFIX}CLICKHOUSE_SECURE=false encrypts nothing; "
            "for TLS set it to true, and the ports to those for TLS."
        )
