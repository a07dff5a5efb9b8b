"""Which right is missing in Kafka: the operation, the resource, and the command that grants it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import aiokafka.errors as aio
import kafka.errors as sync

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import KafkaSettings

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = "topic", "group", "cluster", "transactional-id"
KINDS: dict[type[Exception], str] = {
    sync.TopicAuthorizationFailedError: TOPIC,
    sync.GroupAuthorizationFailedError: GROUP,
    sync.ClusterAuthorizationFailedError: CLUSTER,
    sync.TransactionalIdAuthorizationFailedError: TRANSACTIONAL_ID,
    aio.TopicAuthorizationFailedError: TOPIC,
    aio.GroupAuthorizationFailedError: GROUP,
    aio.ClusterAuthorizationFailedError: CLUSTER,
    aio.TransactionalIdAuthorizationFailed: TRANSACTIONAL_ID,
}
UNAUTHORIZED = tuple(KINDS)


class RightMissing(PintallyError):
    """Kafka answered that our user may not do this; a person must grant it."""


@contextmanager
def needing(kafka: KafkaSettings, kind: str, operation: str, names: Iterable[str] = ()) -> Iterator[None]:
    """What runs in the block needs an operation on these resources. Raises RightMissing where Kafka forbids it.

    If Kafka names a resource of another kind, that one is named, with the operation unknown.
    """
    try:
        yield
    except UNAUTHORIZED as error:
        raise forbidden(kafka, error, {kind: (operation, tuple(names))}) from error


def forbidden(
    kafka: KafkaSettings, error: Exception, needed: Mapping[str, tuple[str, tuple[str, ...]]]
) -> RightMissing:
    """The right that an error of Kafka is about; `needed` is kind of resource -> operation, names."""
    kind = next(kind for known, kind in KINDS.items() if isinstance(error, known))
    operation, names = needed.get(kind, ("", ()))
    named = _names_in(error)
    return right_missing(kafka, kind, operation, [name for name in names if name in named] or names)


def right_missing(kafka: KafkaSettings, kind: str, operation: str, names: Iterable[str] = ()) -> RightMissing:
    """A missing right as an error. Without a known operation it sends to the list of all."""
    names = tuple(dict.fromkeys(names))
    on = f"{kind} {', '.join(names)}" if names else f"the {kind}"
    who = principal(kafka)
    if not operation:
        return RightMissing(
            f"Kafka at {kafka} forbids {who} something on {on}",
            f"Grant what docs/security.md lists under 'Rights in Kafka': `{command(kafka, kind, 'ALL', names)}` "
            "grants all of it.",
        )
    return RightMissing(
        f"Kafka at {kafka} does not let {who} {operation} {on}: the right {operation} is missing",
        f"Grant it: `{command(kafka, kind, operation, names)}`.",
    )


def principal(kafka: KafkaSettings) -> str:
    """Our user as Kafka's authorizer names it, where that can be known."""
    if kafka.username:
        return f"User:{kafka.username}"
    return "User:<the subject of our certificate>" if kafka.cert_file else "User:ANONYMOUS"


def command(kafka: KafkaSettings, kind: str, operation: str, names: Iterable[str] = ()) -> str:
    """The kafka-acls.sh line that grants an operation on these resources."""
    on = " ".join(f"--{kind} '{name}'" for name in names) or ("--cluster" if kind == CLUSTER else f"--{kind} '*'")
    return (
        f"kafka-acls.sh --bootstrap-server {kafka} --add --allow-principal '{principal(kafka)}' "
        f"--operation {operation} {on}"
    )


def _names_in(error: Exception) -> set[str]:
    """The resources that the error itself names, if it does."""
    found: set[str] = set()
    for part in error.args:
        if isinstance(part, str):
            found.add(part)
        elif isinstance(part, (set, frozenset, list, tuple)):
            found |= {str(each) for each in part}
    return found
