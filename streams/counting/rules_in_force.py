"""Which rules hold for each source, for who only shows them: also rules that this version does not know. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pintally.schemas.errors import UnknownRules
from pintally.schemas.rows import SourceLedger
from pintally.schemas.rules import Rules, fingerprint_of
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import ruling


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules of a source from its newest epoch start on; `text` is their JSON in the ledger."""

    source: Source
    epoch: int
    text: str

    @property
    def rules(self) -> Rules | None:
        """None: a newer version of Pintally wrote them."""
        return known_rules(self.text)

    @property
    def fingerprint(self) -> str:
        """As ledger rows have it."""
        return self.rules.fingerprint if self.rules else fingerprint_of(self.text)


@lru_cache
def known_rules(text: str) -> Rules | None:
    """The rules of a start row, or None if this version does not know them."""
    try:
        return Rules.from_json(text)
    except UnknownRules:
        return None


def rules_in_force(ledgers: Iterable[SourceLedger]) -> Iterator[InForce]:
    """Of each source that has a start row."""
    for ledger in ledgers:
        for last in ruling(ledger.starts)[-1:]:
            yield InForce(last.source, last.epoch, last.rules)


def unknown_rules(in_force: Iterable[InForce]) -> list[str]:
    """What is unknown, as text with the remedy: a line for each such document, and the topics that it holds for."""
    topics: dict[str, set[str]] = {}
    for each in in_force:
        topics.setdefault(each.text, set()).add(each.source.topic)
    return sorted(f"{', '.join(sorted(names))}: {why}" for text, names in topics.items() if (why := _why_unknown(text)))


def _why_unknown(text: str) -> str | None:
    try:
        Rules.from_json(text)
    except UnknownRules as unknown:
        return f"{unknown.what}. {unknown.remedy}"
    return None
