"""Which version of Kafka's protocol a broker speaks, and the lowest one that we count from."""

from pintally.schemas.errors import PintallyError

LOWEST = (3, 6)  # its topics have message.timestamp.after.max.ms, which bounds what a producer's clock can do


class KafkaTooOld(PintallyError):
    """The broker is of a version that no test of ours runs on."""


def refuse_old(kafka: str, version: tuple[int, ...] | None) -> None:
    """Refuse a broker at `kafka` that speaks the protocol of a `version` below the lowest one. Raises KafkaTooOld.

    Brokers do not tell their version: the client infers it from the requests that they take, so it may be None for one
    that has not said which.
    """
    if version is not None and version < LOWEST:
        raise KafkaTooOld(
            f"Kafka at {kafka} speaks the protocol of version {_dotted(version)}, which is older than "
            f"{_dotted(LOWEST)}: its topics lack message.timestamp.after.max.ms",
            f"Upgrade the brokers to {_dotted(LOWEST)} or newer; docs/compatibility.md lists what was run.",
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
