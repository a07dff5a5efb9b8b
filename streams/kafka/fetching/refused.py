"""Partitions of which Kafka gives nothing but an error, fetch after fetch: how long each rests, and what is said.

aiokafka asks again at once, a thousand times a second, and says nothing: of a log that is damaged on the broker's disk
for ever, of a partition without a leader until it has one. All others go on meanwhile.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from aiokafka.errors import CorruptRecordException, for_code
from aiokafka.structs import TopicPartition

FIRST_REST, LONGEST_REST = 0.1, 1.0  # seconds; doubles each time
SAID_AFTER = 10.0  # seconds: a new leader is elected sooner
AGAIN_SECONDS = 600.0
NO_LEADER: Final = "it has no leader"
DAMAGED: Final = (
    "see with kafka-dump-log.sh which broker has it whole, and make that one the leader; or delete the records up to "
    "the damage with kafka-delete-records.sh, stop all workers and run `pintally accept-loss`"
)
ELECTED: Final = "bring its brokers back: kafka-topics.sh --describe names them"
OTHER: Final = "see the log of the broker that leads it"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Refused:
    since: float  # as the other times: monotonic seconds
    rest: float = FIRST_REST
    said: float | None = None


class RefusedFetches:
    """Of one consumer. Not to be shared between threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._refused: dict[TopicPartition, _Refused] = {}

    def refused(self, tp: TopicPartition, offset: int, why: str, remedy: str) -> float:
        """It cannot be fetched from this offset on. Returns for how many seconds it is not to be asked for again."""
        now = self._clock()
        known = self._refused.setdefault(tp, _Refused(now))
        due = known.since + SAID_AFTER if known.said is None else known.said + AGAIN_SECONDS
        if now >= due:
            known.said = now
            log.warning(
                "%s[%d] has not been fetched for %.0f s, from offset %d on: %s. Others are counted; %s",
                *tp, now - known.since, offset, why, remedy,
                extra={"topic": tp.topic, "partition": tp.partition, "offset": offset, "reason": why,
                       "remedy": remedy, "seconds": round(now - known.since, 1)},
            )  # fmt: skip
        rest, known.rest = known.rest, min(2 * known.rest, LONGEST_REST)
        return rest

    def answered(self, tp: TopicPartition) -> None:
        """Kafka gave what there is."""
        known = self._refused.pop(tp, None)
        if known and known.said is not None:
            seconds = self._clock() - known.since
            log.warning(
                "%s[%d] is fetched again after %.0f s", *tp, seconds,
                extra={"topic": tp.topic, "partition": tp.partition, "seconds": round(seconds, 1)},
            )  # fmt: skip


def in_words(error_code: int) -> tuple[str, str]:
    """What Kafka's answer with this code means, and what a person can do."""
    error = for_code(error_code)
    return f"Kafka answers {error.__name__} ({error_code})", DAMAGED if error is CorruptRecordException else OTHER
