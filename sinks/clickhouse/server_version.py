"""The lowest version of ClickHouse that we count into."""

from collections.abc import Sequence

from pintally.schemas.errors import SinkError

LOWEST = (25, 8)


class ClickHouseTooOld(SinkError):
    """The server is of a version that the tables cannot be made on."""


def refuse_old(where: str, version: Sequence[int]) -> None:
    """Refuse the server at `where` if its version is below the lowest one. Raises ClickHouseTooOld."""
    if tuple(version[:2]) < LOWEST:
        raise ClickHouseTooOld(
            f"ClickHouse at {where} has version {_dotted(version)}, which is older than {_dotted(LOWEST)}",
            f"Upgrade it to {_dotted(LOWEST)} or newer; docs/compatibility.md lists what was run.",
        )


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
