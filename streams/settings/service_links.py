"""Variables that Kubernetes puts into every container of a namespace, and that nobody set: service links.

A service named pintally-clickhouse makes PINTALLY_CLICKHOUSE_PORT=tcp://10.96.0.12:9000, beside others; so did Docker's
links. What is of this form is no port that somebody asked for.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource

LINK = re.compile(r"(tcp|udp|sctp)://(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d+")


def is_service_link(name: str, value: object) -> bool:
    """Whether a variable has the name and the value that Kubernetes gives the port of a service."""
    return name.upper().endswith("_PORT") and isinstance(value, str) and LINK.fullmatch(value) is not None


class EnvironmentWithoutLinks(EnvSettingsSource):
    """The environment as settings read it, service links left out: what else sets them, or their default, holds."""

    def __call__(self) -> dict[str, Any]:
        """Values by name of field."""
        return {name: value for name, value in super().__call__().items() if not is_service_link(name, value)}


def link_warnings(given: Mapping[str, str], settings: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """One sentence for all links that have the name of a setting."""
    links = [
        f"{name}={value}"
        for name, value in sorted(given.items())
        if is_service_link(name, value) and name.removeprefix(prefix).lower() in settings
    ]
    if links:
        yield (
            f"ignored, as Kubernetes makes them of a service's name: {', '.join(links)}. "
            "Set `enableServiceLinks: false` in the pod's spec, or set the variables to what is meant."
        )
