"""Whether anything is lost, and whether the counts shown are right and complete: one line, whatever is wrong. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from pintally.serve.conditions.facts import NAMES, Facts, records
from pintally.serve.derived import lost_records
from pintally.serve.state import Condition

COMPLETE_SECONDS: Final = 5.0  # what is counted within them is complete: the objective
REPLAY: Final = {"late": "late records as they are", "invalid": "invalid records once they are corrected"}

STALE: Final = {
    "clickhouse": "The counts shown are right, but stale: they are of the moment when {} last answered.",
    "kafka": "The counts shown are right, but may be incomplete: what {} received since is not known.",
}


def assurance(facts: Facts, conditions: Sequence[Condition]) -> str:
    """Returns the line."""
    kinds = {each.kind for each in conditions}
    if "waiting" in kinds:
        return "Not known yet."
    return " ".join([*_lost(facts, kinds), _counts(facts, kinds), *_letters(kinds)])


def _lost(facts: Facts, kinds: set[str]) -> Iterator[str]:
    given_up = sum(lost_records(facts.look).values())
    if "deleted" in kinds:
        yield "Records are lost: Kafka deleted them before they were counted."
    elif "retention" in kinds:
        yield "Nothing is lost yet, but Kafka will delete records that are not counted."
    elif "kafka away" in kinds:
        yield "If Kafka comes back with its data, nothing is lost."
    elif kinds & {"differs", "refused"}:
        yield "What Kafka still holds can be counted."
    elif given_up:
        yield f"Nothing more is lost than {records(given_up)} that were given up (pintally accept-loss)."
    else:
        yield "Nothing is lost."


def _counts(facts: Facts, kinds: set[str]) -> str:
    waits = sum(each.lag for each in facts.sources)
    late = max((each.lag_seconds for each in facts.sources), default=0.0)
    if "differs" in kinds:
        return "Some of the counts shown are wrong."
    for engine in ("clickhouse", "kafka"):
        if engine in facts.look.trouble:
            return STALE[engine].format(NAMES[engine])
    if "deleted" in kinds:
        return "The counts shown are incomplete: these records are missing."
    if waits and late >= COMPLETE_SECONDS:
        are = "is" if waits == 1 else "are"
        return f"The counts shown are right, but incomplete: {records(waits)} {are} not counted yet."
    return f"The counts shown are right, and complete{f' up to {late:.1f} s ago' if late >= 0.05 else ''}."


def _letters(kinds: set[str]) -> Iterator[str]:
    if found := [words for kind, words in REPLAY.items() if kind in kinds]:
        yield f"Dead letters are kept, and not in the counts: pintally dlq replay counts {' and '.join(found)}."
