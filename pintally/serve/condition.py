"""Which conditions there are, the worst first, and which of them only follow from another one. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from pintally.serve.conditions.engines import away, slow
from pintally.serve.conditions.facts import Facts, Rule, ago, utc, waiting
from pintally.serve.conditions.producers import faulty
from pintally.serve.conditions.proof import differs, held
from pintally.serve.conditions.sources import behind, blocked, deleted, retention, stalled
from pintally.serve.conditions.workers import cut_off, gone, letters, nobody, older, refused
from pintally.serve.state import Condition

LATE_SECONDS: Final = 5.0
# The first that is true is the sentence of the page, the others stand below it.
RULES: Final[tuple[Rule, ...]] = (
    away, differs, deleted, refused, nobody, retention, cut_off, letters, blocked, gone, stalled, faulty, slow, behind,
    older, held,
)  # fmt: skip
LATER: Final = (stalled, slow, behind, held)
# What follows from a condition is not said beside it.
FOLLOWS: Final[Mapping[Rule, tuple[Rule, ...]]] = {
    away: tuple(rule for rule in RULES if rule not in (away, differs)),  # all else is of an older look
    deleted: (retention,),
    refused: (),
    nobody: (gone, *LATER),
    cut_off: LATER,
    letters: LATER,
    blocked: (behind, held),
    gone: (behind, held),
    stalled: (behind, held),
    slow: (behind,),
}


def conditions_of(facts: Facts) -> list[Condition]:
    """Returns all that is wrong, the worst first; if nothing is, that all is well."""
    if not facts.sources and not facts.look.trouble:
        return [_waiting()]
    found: list[Condition] = []
    explained: set[Rule] = set()
    for rule in RULES:
        if rule not in explained and (conditions := list(rule(facts))):
            found += conditions
            explained |= {*FOLLOWS.get(rule, ())}
            if rule is refused and facts.nobody:
                explained |= {nobody, *FOLLOWS[nobody]}
    return found or [_well(facts)]


def since_when(conditions: Iterable[Condition], before: Iterable[Condition], now: float) -> list[Condition]:
    """Returns them with the moment from which on each was found; what itself knows since when is left as it is."""
    known = {each.kind: each.since for each in before}
    return [
        each if each.since or each.level == "ok" else each.model_copy(update={"since": known.get(each.kind) or now})
        for each in conditions
    ]


def _waiting() -> Condition:
    return Condition(kind="waiting", level="unknown", sentence="Waiting for the first look at Kafka and ClickHouse.")


def _well(facts: Facts) -> Condition:
    until = facts.sealing.sealed_until
    final = f"hours before {utc(until, facts.now)} are final" if until else "no hour is final yet"
    late = max((each.lag_seconds for each in facts.sources), default=0.0)
    if late >= LATE_SECONDS:
        sentence = f"Counting is {ago(late)} behind: {waiting(facts.sources)}; {final}."
        return Condition(kind="late", level="behind", sentence=sentence)
    near = f", {late:.1f} s behind" if late >= 0.05 else ""
    return Condition(kind="well", level="ok", sentence=f"All records are counted{near}; {final}.")
