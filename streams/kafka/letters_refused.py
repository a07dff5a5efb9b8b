"""A dead-letter topic that does not take letters: where, why in words, and the command that helps. Pure."""

from dataclasses import dataclass
from typing import Final

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from pintally.streams.kafka.errors import is_transient

TOO_LARGE: Final = (MessageSizeTooLargeError, RecordTooLargeError)
DESCRIBE: Final = "kafka-topics.sh --bootstrap-server {kafka} --describe --topic {topic}"
MIGRATE: Final = "pintally migrate"
LARGER: Final = (
    "kafka-configs.sh --bootstrap-server {kafka} --alter --entity-type topics --entity-name {topic} --add-config "
    "max.message.bytes=1048588"
)
IN_SYNC: Final = "fewer of its replicas are in sync than min.insync.replicas asks for: bring the brokers back", DESCRIBE
NO_LEADER: Final = "its partition has no leader: bring the brokers back", DESCRIBE
LARGE: Final = "its max.message.bytes is too small even for the headers of a letter", LARGER
UNKNOWN: Final = "Kafka does not acknowledge them ({reason})", DESCRIBE
# By the class of aiokafka's error: the cause, and the command that mends it or finds out more.
CAUSES: Final = {
    "UnknownTopicOrPartitionError": ("the topic does not exist", MIGRATE),
    "NotEnoughReplicasError": IN_SYNC,
    "NotEnoughReplicasAfterAppendError": IN_SYNC,
    "LeaderNotAvailableError": NO_LEADER,
    "NotLeaderForPartitionError": NO_LEADER,
    **dict.fromkeys((error.__name__ for error in TOO_LARGE), LARGE),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why, as part of a sentence; and a command."""

    words: str
    command: str


def cause_of(reason: str, topic: str, kafka: str) -> Cause:
    """`reason` is the name of aiokafka's error, `kafka` the bootstrap servers."""
    words, command = CAUSES.get(reason, UNKNOWN)
    return Cause(words.format(reason=reason), command.format(kafka=kafka, topic=topic))


class LettersRefused(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """Kafka did not take letters; the error that it gave is the cause."""

    def __init__(self, topic: str, partition: int, error: KafkaError) -> None:
        super().__init__(f"{topic}[{partition}]: {type(error).__name__}")
        self.topic, self.partition, self.reason = topic, partition, type(error).__name__
        self.is_mended_by_repeating = isinstance(error, TOO_LARGE) or is_transient(error)
        self.__cause__ = error

    def in_words(self, kafka: str) -> str:
        """Where, why, and the command, for a line of the log."""
        cause = cause_of(self.reason, self.topic, kafka)
        return f"{self.topic}[{self.partition}] takes none, for {cause.words}. Run `{cause.command}` ({self.reason})"
