"""What producers send wrongly: topics of which a large part is invalid or late. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pintally.schemas.outcomes import OUTCOMES
from pintally.serve.conditions.example import example
from pintally.serve.conditions.facts import Facts, said
from pintally.serve.rates import Rates
from pintally.serve.state import Condition

# Of the records of a topic, and of one outcome in a minute. PintallyInvalidRecords and PintallyLateRecords have the
# same, and wait longer.
LARGE_SHARE = 0.01
MANY_RECORDS = 60
WORDS = {"invalid": "sends invalid records to", "late": "sends records too late to"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Of the last minute: how many records of a topic had an outcome, and of how many."""

    topic: str
    records: int
    of: int

    @property
    def share(self) -> float:
        """Of its records."""
        return self.records / self.of


def faulty(facts: Facts) -> Iterator[Condition]:
    """Every topic with a large share, for each of the two outcomes."""
    topics = sorted({each.topic for each in facts.sources})
    for outcome, what in WORDS.items():
        found = sorted(faults_of(facts.rates, topics, outcome), key=lambda each: -each.share)
        if found:
            sent, every = sum(each.records for each in found), sum(each.of for each in found)
            to = found[0].topic if len(found) == 1 else f"{len(found)} topics"
            whose = "its" if len(found) == 1 else "their"
            sentence = f"A producer {what} {to}: {sent:,} in the last minute, {sent / every:.0%} of {whose} records."
            detail = " ".join([*_by_topic(found), *_example(facts, found[0].topic, outcome)]) or None
            command, anchor = f"pintally dlq list --outcome {outcome}", f"pintally{outcome}records"
            yield said(outcome, "wrong", sentence, command, anchor, detail=detail)


def _by_topic(found: Sequence[Fault]) -> list[str]:
    """`By topic: click.v1 900 (14%), save.v1 200 (11%).`; nothing if there is one, which the sentence names."""
    if len(found) == 1:
        return []
    each = ", ".join(f"{fault.topic} {fault.records:,} ({fault.share:.0%})" for fault in found)
    return [f"By topic: {each}."]


def _example(facts: Facts, topic: str, outcome: str) -> Iterator[str]:
    """A reason of the kind that grew most since the look before; never a value."""
    kinds = [each for each in facts.tables.letters if (each.topic, each.outcome) == (topic, outcome)]
    grown = facts.tables.grown
    worst = max(kinds, key=lambda each: (grown.get((topic, outcome, each.field), 0), each.records), default=None)
    if worst:
        yield example(worst.reason)


def faults_of(rates: Rates, topics: Iterable[str], outcome: str) -> Iterator[Fault]:
    """Returns each topic of which many records had this outcome."""
    for topic in topics:
        number = rates.of_minute(topic, outcome)
        every = sum(rates.of_minute(topic, each) for each in OUTCOMES)
        if number > max(MANY_RECORDS, LARGE_SHARE * every):
            yield Fault(topic, number, every)
