"""Counts that differ from the log, and what is not final though it should be. Pure."""

from collections.abc import Iterator

from pintally.serve.conditions.facts import STATUS, Facts, ago, said, utc
from pintally.serve.state import Condition

HELD_SECONDS = 3 * 3600.0  # beyond the allowed lateness; the alert PintallySealingStuck has the same
CUT_SECONDS = 3000.0  # cuts are ten minutes apart


def differs(facts: Facts) -> Iterator[Condition]:
    """The last `pintally verify` of a scope found other counts."""
    wrong = [run for run in facts.verified if run.differences]
    if wrong:
        worst = max(wrong, key=lambda run: run.differences)
        found = "difference" if worst.differences == 1 else "differences"
        of = "of a sample " if worst.scope == "sample" else ""
        sentence = f"The last verify {of}found {worst.differences:,} {found} between the log and ClickHouse."
        yield said("differs", "wrong", sentence, "pintally verify", "pintallynotexact", since=worst.at)


def held(facts: Facts) -> Iterator[Condition]:
    """Sealing waits for a source."""
    sealing, now = facts.sealing, facts.now
    if sealing.sealed_until and now - sealing.sealed_until > facts.lateness + HELD_SECONDS:
        sentence = f"Only hours before {utc(sealing.sealed_until, now)} are final: sealing waits for {sealing.held_by}."
        yield said("hours held", "behind", sentence, STATUS, "pintallysealingstuck")
    if sealing.newest_cut and now - sealing.newest_cut > CUT_SECONDS:
        sentence = f"The newest cut is {ago(now - sealing.newest_cut)} old: sealing waits for {sealing.held_by}."
        yield said("cuts held", "behind", sentence, STATUS, "pintallysealingstuck")
