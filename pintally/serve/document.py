"""The document of the page, from what was found. Pure."""

from collections.abc import Set
from dataclasses import asdict

from pintally.schemas.actions import REPLAY
from pintally.schemas.outcomes import OUTCOMES, Outcomes, sum_of
from pintally.schemas.sources import Source
from pintally.serve.condition import condition_of
from pintally.serve.findings import Look, Tables
from pintally.serve.rates import Rates
from pintally.serve.seen import Seen, lag_seconds, retention_headroom
from pintally.serve.state import (
    Letters,
    Rate,
    Sealing,
    SourceState,
    State,
    TopPin,
    Verified,
    Workers,
)
from pintally.streams.counting.recovery import given_up
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
        condition=condition_of(sources, look, sealing, verified, lateness),
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


def is_blocked(progress: Progress) -> bool:
    """Whether all that may be read is counted, and an open transaction is before the rest."""
    ends = progress.ends
    position = progress.log_start if progress.position is None else progress.position
    return position >= ends.last_stable < ends.log_end


def headroom(progress: Progress, look: Look) -> float | None:
    """Seconds until retention may delete what is not counted."""
    topic = look.kafka.topics[progress.source.topic] if look.kafka else None
    if topic is None or "delete" not in topic.cleanup_policy:
        return None
    by_broker = topic.timestamp_type == "LogAppendTime"
    seen = look.seen[progress.source]
    return retention_headroom(progress, seen, topic.retention_ms, by_broker=by_broker, now=look.at)


def holders(look: Look) -> set[Source]:
    """The sources that hold the sealing of hours back most: replays hold none back."""
    clocks = {
        source: -1 if clock is None else clock
        for source, clock in look.clocks.items()
        if not source.topic.endswith(REPLAY)
    }
    lowest = min(clocks.values(), default=None)
    return {source for source, clock in clocks.items() if clock == lowest}


def lost_records(look: Look) -> dict[str, int]:
    """Offsets whose loss was accepted, by topic."""
    topics = look.kafka.topics if look.kafka else ()
    lost = dict.fromkeys(topics, 0)
    for source, ledger in look.clickhouse.ledgers.items() if look.clickhouse else ():
        lost[source.topic] = lost.get(source.topic, 0) + sum(row.end - row.start for row in given_up(ledger))
    return lost


def outcomes_of(look: Look) -> dict[str, Outcomes]:
    """Outcomes by topic."""
    topics = {each.source.topic for each in look.sources}
    return {
        topic: sum_of(each.outcomes for each in look.sources if each.source.topic == topic) for topic in sorted(topics)
    }


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
