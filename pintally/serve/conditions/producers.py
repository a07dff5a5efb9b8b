"""What producers send wrongly: topics of which a large part is invalid or late. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pintally.schemas.outcomes import OUTCOMES
from pintally.serve.conditions.facts import Facts, said, shortened
from pintally.serve.rates import Rates
from pintally.serve.state import Condition

# Of the records of a topic, and of one outcome in a minute. PintallyInvalidRecords and PintallyLateRecords have the
# same, and wait longer.
LARGE_SHARE = 0.01
MANY_RECORDS = 60
KEPT = "They are not counted, but kept as dead letters."
WORDS = {"invalid": "sends invalid records to", "late": "sends records too late to"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Of the last minute: how many records of a topic had an outcome, and which share of all they are."""

    topic: str
    records: int
    share: float


def faulty(facts: Facts) -> Iterator[Condition]:
    """The topic with the largest share, for each of the two outcomes."""
    topics = sorted({each.topic for each in facts.sources})
    for outcome, what in WORDS.items():
        found = list(faults_of(facts.rates, topics, outcome))
        if found:
            worst = max(found, key=lambda each: each.share)
            sentence = (
                f"A producer {what} {worst.topic}{_more(len(found) - 1)}: {worst.share:.0%} of its records of the last "
                f"minute, {worst.records:,} in all."
            )
            command, example = f"pintally dlq list --outcome {outcome}", _example(facts, worst.topic, outcome)
            yield said(outcome, "wrong", sentence, command, f"pintally{outcome}records", detail=example)


def _more(topics: int) -> str:
    return f" and {topics} more {'topic' if topics == 1 else 'topics'}" if topics else ""


def _example(facts: Facts, topic: str, outcome: str) -> str:
    """A reason of the kind that grew most since the look before; never a value."""
    kinds = [each for each in facts.tables.letters if (each.topic, each.outcome) == (topic, outcome)]
    grown = facts.tables.grown
    worst = max(kinds, key=lambda each: (grown.get((topic, outcome, each.field), 0), each.records), default=None)
    return KEPT + (f" For example: {shortened(worst.reason)}." if worst else "")


def faults_of(rates: Rates, topics: Iterable[str], outcome: str) -> Iterator[Fault]:
    """Returns each topic of which many records had this outcome."""
    for topic in topics:
        number = rates.of_minute(topic, outcome)
        every = sum(rates.of_minute(topic, each) for each in OUTCOMES)
        if number > max(MANY_RECORDS, LARGE_SHARE * every):
            yield Fault(topic, number, number / every)
