"""What producers send wrongly: topics of which a large part is invalid or late. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pintally.schemas.outcomes import OUTCOMES
from pintally.serve.rates import Rates

# Of the records of a topic, and of one outcome in a minute. PintallyInvalidRecords and PintallyLateRecords have the
# same, and wait longer.
LARGE_SHARE = 0.01
MANY_RECORDS = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """Of the last minute: how many records of a topic had an outcome, and which share of all they are."""

    topic: str
    records: int
    share: float


def faults_of(rates: Rates, topics: Iterable[str], outcome: str) -> Iterator[Fault]:
    """Returns each topic of which many records had this outcome."""
    for topic in topics:
        records = rates.of_minute(topic, outcome)
        every = sum(rates.of_minute(topic, each) for each in OUTCOMES)
        if records > max(MANY_RECORDS, LARGE_SHARE * every):
            yield Fault(topic, records, records / every)
