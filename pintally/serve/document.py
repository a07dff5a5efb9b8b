"""Makes the document of state.py from a look and what is known beside it. Pure."""

from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, field

from pintally.schemas.outcomes import OUTCOMES
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.serve.condition import conditions_of, since_when
from pintally.serve.conditions.assurance import assurance
from pintally.serve.conditions.facts import Facts
from pintally.serve.derived import (
    headroom,
    holders,
    is_blocked,
    is_limited_by_size,
    lost_records,
    outcomes_of,
    rules_of,
)
from pintally.serve.findings import Look, Tables
from pintally.serve.rates import Rates
from pintally.serve.seen import Seen, lag_seconds
from pintally.serve.state import Condition, Letters, Rate, Sealing, SourceState, State, TopPin, Workers
from pintally.serve.verified import Runs
from pintally.serve.workers import NOBODY
from pintally.streams.counting.rules_in_force import unknown_rules
from pintally.streams.operations.progress import Progress
from pintally.streams.worker.ended import Ended

STALLED_SECONDS = 60.0  # so long without a step, though there is something to count: more than a restart takes
BLOCKED_SECONDS = 15.0  # so long behind an open transaction
BEHIND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Configured:
    """What the settings say."""

    version: str
    lateness: int = 3600  # allowed, in seconds
    kafka: str = "BROKER"  # bootstrap servers
    rules: Callable[[str], Rules] = lambda _: Rules()  # that they ask for in a topic


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known beside the look."""

    tables: Tables = field(default_factory=Tables)
    rates: Rates = field(default_factory=Rates)
    workers: Workers = NOBODY
    runs: Runs = field(default_factory=Runs)
    ended: Sequence[Ended] = ()
    before: Sequence[Condition] = ()  # the conditions of the document before


def state_of(look: Look, beside: Beside, configured: Configured) -> State:
    """Returns the document of a look."""
    held = holders(look)
    sources, sealing = [source_state(each, look, held) for each in look.sources], _sealing(look, held)
    tables = beside.tables
    facts = _facts(look, sources, sealing, beside, configured)
    worst, *others = since_when(conditions_of(facts), beside.before, look.at)
    return State(
        version=configured.version,
        number=look.number,
        looked_at=look.at,
        away={engine: trouble.since for engine, trouble in look.trouble.items()},
        refused={engine: trouble.what for engine, trouble in look.trouble.items() if trouble.refuses},
        condition=worst,
        others=others,
        assurance=assurance(facts, [worst, *others]),
        lag=sum(each.lag for each in sources),
        lag_seconds=max((each.lag_seconds for each in sources), default=0.0),
        sources=sources,
        outcomes=_rates(look, beside.rates),
        workers=beside.workers,
        sealing=sealing,
        top=[TopPin(pin_id=str(pin.pin_id), events=pin.events, by_minute=list(pin.by_minute)) for pin in tables.top],
        letters_at=tables.looked_at or None,
        dead_letters=[Letters.model_validate(asdict(each)) for each in tables.letters],
        lost_records=sum(lost_records(look).values()),
        verified=beside.runs.each(),
    )


def _facts(look: Look, sources: list[SourceState], sealing: Sealing, beside: Beside, configured: Configured) -> Facts:
    members = {member.name for member in look.kafka.group.members} if look.kafka else set()
    in_force = rules_of(look)
    other = not members and any(
        each.rules and each.rules.without_users != configured.rules(each.source.topic).without_users
        for each in in_force
    )
    return Facts(
        look, sources, sealing, beside.workers, beside.rates, beside.tables, beside.runs.each(),
        [each for each in beside.ended if each.name not in members],
        other, unknown_rules(in_force), configured.version, configured.lateness, configured.kafka,
    )  # fmt: skip


def source_state(progress: Progress, look: Look, held: Set[Source]) -> SourceState:
    """Returns what is known of one source."""
    source, seen = progress.source, look.seen[progress.source]
    lag = max(0, progress.lag)
    blocked = is_blocked(progress)
    return SourceState(
        topic=source.topic,
        partition=source.partition,
        log_start=progress.log_start,
        log_end=progress.log_end,
        position=progress.position,
        lag=lag,
        lag_seconds=lag_seconds(progress, seen, look.at),
        stream_time=progress.stream_time / 1000 if progress.stream_time and progress.stream_time > 0 else None,
        stands_since=max(seen.moved_at, seen.caught_up_at) if lag else None,
        retention_headroom=headroom(progress, look),
        limited_by_size=is_limited_by_size(progress, look),
        blocked=blocked,
        holds_sealing=source in held,
        member=look.kafka.group.owner(source) if look.kafka else None,
        state=_state(progress, seen, look, blocked),
    )


def _state(progress: Progress, seen: Seen, look: Look, blocked: bool) -> str:
    if "kafka" in look.trouble:
        return "unknown"
    if not progress.lag:
        return "ok"
    waits = look.answered - max(seen.moved_at, seen.caught_up_at)
    if blocked:
        return "blocked" if waits > BLOCKED_SECONDS else "ok"
    if progress.position is None:
        return "not started"
    if waits > STALLED_SECONDS:
        return "stalled"
    return "behind" if lag_seconds(progress, seen, look.at) > BEHIND_SECONDS else "ok"


def _rates(look: Look, rates: Rates) -> list[Rate]:
    known = "clickhouse" not in look.trouble
    return [
        Rate(
            topic=topic,
            outcome=outcome,
            total=getattr(outcomes, outcome),
            per_second=rates.of(topic, outcome) if known else None,
        )
        for topic, outcomes in outcomes_of(look).items()
        for outcome in OUTCOMES
    ]


def _sealing(look: Look, held: Set[Source]) -> Sealing:
    sealed = look.clickhouse.sealed if look.clickhouse else None
    by = min(held, key=str, default=None)
    clock = look.clocks[by] if by else None
    return Sealing(
        sealed_until=float(sealed.until) if sealed and sealed.until else None,
        newest_cut=float(sealed.newest_cut) if sealed and sealed.newest_cut else None,
        open_hours=sealed.open_hours if sealed else 0,
        held_by=str(by) if by else None,
        held_at=clock / 1000 if clock else None,
    )
