"""Makes the document of state.py from a look. Pure."""

from collections.abc import Set
from dataclasses import asdict

from pintally.schemas.outcomes import OUTCOMES
from pintally.schemas.sources import Source
from pintally.serve.condition import condition_of
from pintally.serve.derived import headroom, holders, is_blocked, lost_records, outcomes_of
from pintally.serve.findings import Look, Tables
from pintally.serve.rates import Rates
from pintally.serve.seen import Seen, lag_seconds
from pintally.serve.state import Letters, Rate, Sealing, SourceState, State, TopPin, Verified, Workers
from pintally.streams.operations.progress import Progress

STALLED_SECONDS = 60.0  # so long without a step, though there is something to count: more than a restart takes
BEHIND_SECONDS = 30.0


def state_of(
    look: Look,
    tables: Tables,
    rates: Rates,
    workers: Workers,
    verified: Verified | None,
    *,
    version: str,
    lateness: int,
) -> State:
    """Returns the document of a look. `lateness` is what the settings allow, in seconds."""
    held = holders(look)
    sources, sealing = [source_state(each, look, held) for each in look.sources], _sealing(look, held)
    return State(
        version=version,
        number=look.number,
        looked_at=look.at,
        away={engine: trouble.since for engine, trouble in look.trouble.items()},
        refused={engine: trouble.what for engine, trouble in look.trouble.items() if trouble.refuses},
        condition=condition_of(sources, look, sealing, verified, lateness, rates),
        lag=sum(each.lag for each in sources),
        lag_seconds=max((each.lag_seconds for each in sources), default=0.0),
        sources=sources,
        outcomes=_rates(look, rates),
        workers=workers,
        sealing=sealing,
        top=[TopPin(pin_id=str(pin.pin_id), events=pin.events, by_minute=list(pin.by_minute)) for pin in tables.top],
        dead_letters=[Letters.model_validate(asdict(each)) for each in tables.letters],
        lost_records=sum(lost_records(look).values()),
        verified=verified,
    )


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
        retention_headroom=headroom(progress, look),
        blocked=blocked,
        holds_sealing=source in held,
        member=look.kafka.group.owner(source) if look.kafka else None,
        state=_state(progress, seen, look, blocked),
    )


def _state(progress: Progress, seen: Seen, look: Look, blocked: bool) -> str:
    if not progress.lag:
        return "ok"
    waits = look.answered - max(seen.moved_at, seen.caught_up_at)
    if blocked:
        return "blocked" if waits > STALLED_SECONDS else "ok"
    if progress.position is None:
        return "not started"
    if waits > STALLED_SECONDS:
        return "stalled"
    return "behind" if lag_seconds(progress, seen, look.at) > BEHIND_SECONDS else "ok"


def _rates(look: Look, rates: Rates) -> list[Rate]:
    return [
        Rate(topic=topic, outcome=outcome, total=getattr(outcomes, outcome), per_second=rates.of(topic, outcome))
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
