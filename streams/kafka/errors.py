"""What aiokafka's errors mean to a worker: it is transient, a person must act, or a fresh process may mend it."""

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    BrokerNotAvailableError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordTooLargeError,
    ReplicaNotAvailableError,
    SaslAuthenticationFailed,
    SecurityDisabled,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.errors import PintallyError
from pintally.streams.kafka.rights import GROUP as GROUPS
from pintally.streams.kafka.rights import TOPIC as TOPICS
from pintally.streams.kafka.rights import forbidden
from pintally.streams.settings import KafkaSettings, TopicSettings

FORBIDDEN = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
LOGIN = (
    SaslAuthenticationFailed,
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    UnsupportedSaslMechanismError,
    SecurityDisabled,
)
GROUP = (InconsistentGroupProtocolError, InvalidGroupIdError, InvalidSessionTimeoutError)
TOPIC = (InvalidTopicError, PolicyViolationError, MessageSizeTooLargeError, RecordTooLargeError)
ALSO_TRANSIENT = (KafkaTimeoutError, BrokerNotAvailableError, ReplicaNotAvailableError)  # aiokafka calls them final


class KafkaRefuses(PintallyError):
    """Kafka said no to a running worker, and would say so again."""


def is_transient(error: KafkaError) -> bool:
    """Whether repeating what failed may well mend it."""
    return bool(error.retriable) or isinstance(error, ALSO_TRANSIENT)


def refusal_of(error: KafkaError, kafka: KafkaSettings, topics: TopicSettings, where: str) -> KafkaRefuses | None:
    """What a person must mend, and how; None if a fresh worker may get further."""
    at, said = f"Kafka at {kafka}", f"{type(error).__name__}: {error}"
    if isinstance(error, FORBIDDEN):
        right = forbidden(kafka, error, _needed(error, kafka, topics))
        return KafkaRefuses(f"{right.what}, {where}", right.remedy)
    if isinstance(error, LOGIN):
        return KafkaRefuses(
            f"{at} refused the login of user {kafka.username!r}, {where} ({said})",
            "Set PINTALLY_KAFKA_USERNAME, PINTALLY_KAFKA_PASSWORD and PINTALLY_KAFKA_SASL_MECHANISM.",
        )
    if isinstance(error, GROUP):
        return KafkaRefuses(
            f"{at} does not take this worker into group {kafka.group_id}, {where} ({said})",
            "Set PINTALLY_SESSION_TIMEOUT_SECONDS within the broker's group.min.session.timeout.ms and "
            "group.max.session.timeout.ms, and PINTALLY_KAFKA_GROUP_ID to a group that only workers of Pintally are "
            "in.",
        )
    if isinstance(error, TOPIC):
        return KafkaRefuses(
            f"{at} does not take what is written to a topic, {where} ({said})",
            "Compare the topic with what `pintally migrate` makes (max.message.bytes, the broker's policies).",
        )
    return None


def _needed(error: KafkaError, kafka: KafkaSettings, topics: TopicSettings) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What a worker does with what an error is about: it writes to dead-letter topics, and reads all else."""
    letters = tuple(dead_letter_topic(topic) for topic in topics.names.values())
    writes = any(topic in str(error) for topic in letters)
    needed = ("Write", letters) if writes else ("Read", tuple(topics.actions))
    return {TOPICS: needed, GROUPS: ("Read", (kafka.group_id,))}
