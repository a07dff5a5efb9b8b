"""The one sentence: what matters most now, and the command that helps. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pintally.serve.findings import Look
from pintally.serve.producers import faults_of
from pintally.serve.rates import Rates
from pintally.serve.state import Condition, Level, Sealing, SourceState, Verified

NAMES = {"kafka": "Kafka", "clickhouse": "ClickHouse"}
FAR_SECONDS = 60.0
NEAR_SECONDS = 6 * 3600.0  # until retention deletes what is not counted
HELD_SECONDS = 3 * 3600.0  # beyond the allowed lateness; the alert PintallySealingStuck has the same
CUT_SECONDS = 3000.0  # cuts are ten minutes apart
STATUS = "pintally status"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sentence is made of."""

    sources: Sequence[SourceState]
    look: Look
    sealing: Sealing | None
    verified: Verified | None
    lateness: int  # allowed, in seconds
    rates: Rates

    def of(self, state: str) -> list[SourceState]:
        """The sources in a state."""
        return [source for source in self.sources if source.state == state]


def condition_of(
    sources: Sequence[SourceState],
    look: Look,
    sealing: Sealing | None,
    verified: Verified | None,
    lateness: int,
    rates: Rates,
) -> Condition:
    """Returns the first that is true of: an engine is away, counts differ, records are deleted uncounted, no worker
    runs, retention is near, a source is blocked, is stalled, is far behind, producers send what is not counted, sealing
    is held back; else all is well.
    """
    facts = Facts(sources, look, sealing, verified, lateness, rates)
    return next(found for rule in RULES for found in rule(facts)) if sources or look.trouble else _waiting()


def _waiting() -> Condition:
    return Condition(level="unknown", sentence="Waiting for the first look at Kafka and ClickHouse.")


def _engine(facts: Facts) -> Iterator[Condition]:
    for engine, trouble in facts.look.trouble.items():
        if trouble.refuses:
            command = _command(trouble.remedy) or STATUS
            yield _said("wrong", f"{NAMES[engine]} refuses: {trouble.what}.", command, "pintallyengineaway")
        else:
            since = ago(facts.look.at - trouble.since)
            sentence = f"{NAMES[engine]} has not answered for {since}. Nothing is counted meanwhile; nothing is lost."
            yield _said("stopped", sentence, STATUS, "pintallyengineaway")


def _differs(facts: Facts) -> Iterator[Condition]:
    if facts.verified and facts.verified.differences:
        number = f"{facts.verified.differences:,}"
        found = "difference" if number == "1" else "differences"
        sentence = f"The last verify found {number} {found} between the log and ClickHouse."
        yield _said("wrong", sentence, "pintally verify", "pintallynotexact")


def _deleted(facts: Facts) -> Iterator[Condition]:
    gone = [each for each in facts.sources if each.position is not None and each.position < each.log_start]
    if gone:
        lost = sum(each.log_start - (each.position or 0) for each in gone)
        sentence = f"Kafka deleted {lost:,} {_records(lost)} of {_named(gone)} that were not counted."
        yield _said("wrong", sentence, "pintally accept-loss", "pintallyretentionnear")


def _nobody(facts: Facts) -> Iterator[Condition]:
    lag = sum(each.lag for each in facts.sources)
    if facts.look.kafka and not facts.look.kafka.group.members:
        waits = f": {lag:,} {_records(lag)} wait" if lag else ""
        yield _said("stopped", f"No worker runs{waits}.", "pintally worker", "pintallynoworker")


def _retention(facts: Facts) -> Iterator[Condition]:
    near = [each for each in facts.sources if _is_near(each)]
    if near:
        left = min(each.retention_headroom or 0.0 for each in near)
        sentence = f"Kafka deletes uncounted records of {_named(near)} in {ago(left)}."
        yield _said("stopped", sentence, STATUS, "pintallyretentionnear")


def _is_near(source: SourceState) -> bool:
    """As PintallyRetentionNear has it: hours are left, and more than half of the retention is used."""
    left = source.retention_headroom
    return left is not None and left < min(NEAR_SECONDS, source.lag_seconds)


def _blocked(facts: Facts) -> Iterator[Condition]:
    if blocked := facts.of("blocked"):
        sentence = f"An open transaction blocks {_named(blocked)}: nothing behind it can be read until it ends."
        yield _said("stopped", sentence, STATUS, "pintallysourceblocked")


def _stalled(facts: Facts) -> Iterator[Condition]:
    if stalled := facts.of("stalled"):
        lag = sum(each.lag for each in stalled)
        seconds = max(each.lag_seconds for each in stalled)
        sentence = f"{_who_stands(stalled)} {_named(stalled)}: {lag:,} {_records(lag)} wait, {ago(seconds)} behind."
        yield _said("stopped", sentence, STATUS, "pintallysourcestalled")


def _who_stands(stalled: Sequence[SourceState]) -> str:
    owners = sorted({each.member or "" for each in stalled})
    if "" in owners:
        return "Nobody counts"
    if len(owners) == 1:
        return f"The worker {owners[0]} does not count"
    return f"{len(owners)} workers do not count"


def _behind(facts: Facts) -> Iterator[Condition]:
    waiting = facts.of("not started")
    far = [each for each in facts.sources if each.lag_seconds > FAR_SECONDS]
    if waiting:
        lag = sum(each.lag for each in waiting)
        sentence = f"Counting of {_named(waiting)} has not begun: {lag:,} {_records(lag)} wait."
        yield _said("behind", sentence, STATUS, "pintallysourcestalled")
    elif far:
        worst = max(far, key=lambda each: each.lag_seconds)
        lag = sum(each.lag for each in facts.sources)
        sentence = f"Counting is {ago(worst.lag_seconds)} behind: {lag:,} {_records(lag)} wait, most of {_named(far)}."
        yield _said("behind", sentence, STATUS, "pintallyfallsbehind")


def _producers(facts: Facts) -> Iterator[Condition]:
    topics = sorted({each.topic for each in facts.sources})
    for outcome, what in (("invalid", "are invalid"), ("late", "come too late")):
        found = list(faults_of(facts.rates, topics, outcome))
        if found:
            worst = max(found, key=lambda each: each.share)
            sentence = (
                f"{worst.share:.0%} of the records of {worst.topic} {what}, {worst.records:,} in the last minute: "
                "they are dead letters, and not counted."
            )
            yield _said("wrong", sentence, f"pintally dlq list --outcome {outcome}", f"pintally{outcome}records")


def _held(facts: Facts) -> Iterator[Condition]:
    sealing, now = facts.sealing, facts.look.at
    if sealing and sealing.sealed_until and now - sealing.sealed_until > facts.lateness + HELD_SECONDS:
        since = _utc(sealing.sealed_until, now)
        sentence = f"Hours are final only until {since}: sealing waits for {sealing.held_by}."
        yield _said("behind", sentence, STATUS, "pintallysealingstuck")
    if sealing and sealing.newest_cut and now - sealing.newest_cut > CUT_SECONDS:
        sentence = f"The newest cut is {ago(now - sealing.newest_cut)} old: sealing waits for {sealing.held_by}."
        yield _said("behind", sentence, STATUS, "pintallysealingstuck")


def _well(facts: Facts) -> Iterator[Condition]:
    until = facts.sealing.sealed_until if facts.sealing else None
    final = f"hours are final until {_utc(until, facts.look.at)}" if until else "no hour is final yet"
    behind = max((each.lag_seconds for each in facts.sources), default=0.0)
    lag = sum(each.lag for each in facts.sources)
    if behind >= 5.0:
        waits = f"{lag:,} {_records(lag)} wait"
        yield Condition(level="behind", sentence=f"Counting is {ago(behind)} behind: {waits}; {final}.")
    near = f", {behind:.1f} s behind" if behind >= 0.05 else ""
    yield Condition(level="ok", sentence=f"All records are counted{near}; {final}.")


RULES: tuple[Callable[[Facts], Iterator[Condition]], ...] = (
    _engine, _differs, _deleted, _nobody, _retention, _blocked, _stalled, _behind, _producers, _held, _well,
)  # fmt: skip


def _said(level: Level, sentence: str, command: str, anchor: str) -> Condition:
    return Condition(level=level, sentence=sentence, command=command, runbook=anchor)


def _command(remedy: str) -> str | None:
    """The command in a remedy, which stands between backquotes or after `Run `."""
    parts = remedy.split("`")
    if len(parts) > 2 and parts[1].startswith("pintally "):
        return parts[1]
    after = remedy.partition("un pintally ")[2]
    return f"pintally {after.split(',')[0].split('.')[0]}" if after else None


def _named(sources: Sequence[SourceState]) -> str:
    names = [f"{each.topic}[{each.partition}]" for each in sources]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _records(number: int) -> str:
    return "record" if number == 1 else "records"


def ago(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.0f} d"


def _utc(moment: float, now: float) -> str:
    time, today = datetime.fromtimestamp(moment, UTC), datetime.fromtimestamp(now, UTC)
    return f"{time:%H:%M} UTC" if time.date() == today.date() else f"{time:%Y-%m-%d %H:%M} UTC"
