"""The models of the document: what `pintally serve` knows now, for the page, `/api/state.json` and `/api/events`.

document.py makes one from each look. Times are Unix seconds, durations seconds, offsets and positions numbers of
records. A pin id is text: JavaScript's numbers end at 2^53.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["ok", "warning", "behind", "stopped", "wrong", "unknown"]


class Part(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(Part):
    """What is so now, in a sentence, and what to do if all is not well."""

    kind: str  # the same for as long as the same is wrong, whatever its figures are
    level: Level
    sentence: str  # "All records are counted, 0.8 s behind; hours before 11:00 UTC are final."
    detail: str | None = None  # what an engine, a worker or a dead letter said of it, and what to do beside the command
    since: float | None = None
    command: str | None = None  # what finds out more, or mends it
    then: list[str] = []  # to be run after it, in this order
    checks: bool = False  # the command changes nothing: it shows more, and whether all is well again
    runbook: str | None = None  # anchor in docs/runbook.md


class SourceState(Part):
    """One source."""

    topic: str
    partition: int
    log_start: int
    log_end: int
    position: int | None  # flushed; None if the source is not counted yet
    lag: int
    lag_seconds: float
    stream_time: float | None
    stands_since: float | None  # when its position last changed, if there is something to count
    retention_headroom: float | None  # None: nothing uncounted, or nothing is deleted
    limited_by_size: bool = False  # `retention.bytes` is what will delete it
    blocked: bool  # by an open transaction
    holds_sealing: bool
    member: str | None  # the group instance id or client id of the worker that has it; None: nobody
    state: Literal["ok", "behind", "stalled", "blocked", "not started", "unknown"]


class Rate(Part):
    """Outcomes of one topic: in all, and a second over the last ten seconds."""

    topic: str
    outcome: Literal["counted", "duplicate", "late", "invalid", "gaps"]
    total: int
    per_second: float | None  # None: ClickHouse does not say


class Step(Part):
    """One step of flushes of all workers over the last minute."""

    step: str
    seconds: float  # mean


class LettersRefused(Part):
    """A dead-letter topic that takes nothing from a worker. Partitions with records for it wait until it does."""

    topic: str
    error: str  # its name in Kafka's client
    seconds: float


class WorkerState(Part):
    """One worker, as its `/metrics` says, or last said."""

    address: str
    member: str | None  # its group instance id, if it has one and was ever heard
    answers: bool
    heard: bool = True  # it answers, or once did since this process looks
    silent_since: float | None = None  # when it first did not answer, if it does not
    ended: bool = False  # nothing listens at its address any more
    away: dict[str, float] = {}  # engines that do not answer it (kafka, clickhouse), and for how long
    letters_refused: LettersRefused | None = None
    partitions: int
    paused: int
    pending_cells: int
    pending_cells_limit: int
    restoring: bool
    flushed_at: float | None = None  # when its last flush ended
    process_id: int | None = None  # on its machine, as it last said
    sources: frozenset[tuple[str, int]] = Field(frozenset(), exclude=True)  # topic and partition: the page has members


class Workers(Part):
    """What the workers themselves say; empty if none of their addresses is known."""

    known: list[WorkerState]
    freshness_p50: float | None  # of what became visible in the last minute; None: nothing did
    freshness_p99: float | None
    visible_at: float | None = None  # when we last saw that records became visible
    steps: list[Step]


class Sealing(Part):
    """What is final, and who holds it."""

    sealed_until: float | None
    newest_cut: float | None
    open_hours: int
    held_by: str | None  # the source whose stream time is the earliest
    held_at: float | None  # what it has reached


class TopPin(Part):
    """A pin of the top list, with its events a minute over the last hour, oldest first."""

    pin_id: str
    events: int
    by_minute: list[int]


class Letters(Part):
    """Dead letters of one kind in the table, with one reason as an example. Never a value: it is of a person."""

    topic: str
    outcome: Literal["late", "invalid"]
    field: str
    records: int
    reason: str


class Verified(Part):
    """What the last `pintally verify --metrics` of a scope found."""

    scope: str  # whole, sample
    at: float
    share: float  # of the slices
    records: int
    differences: int


class State(Part):
    """All of it. A part that could not be looked up is of an older look: its engine's name is in `away`."""

    version: str
    number: int  # of the look; grows
    looked_at: float
    away: dict[Literal["kafka", "clickhouse"], float]  # engines that do not answer, and since when
    refused: dict[Literal["kafka", "clickhouse"], str] = {}  # those of them that answer, but say no; and what they say
    condition: Condition  # the worst
    others: list[Condition] = []  # what else is wrong, and does not follow from it
    assurance: str  # whether anything is lost, and whether the counts are right and complete
    lag: int
    lag_seconds: float
    sources: list[SourceState]
    outcomes: list[Rate]
    workers: Workers
    sealing: Sealing
    top: list[TopPin]
    letters_at: float | None = None  # when dead letters, of which there are many, were last asked for
    dead_letters: list[Letters]
    lost_records: int
    verified: list[Verified]
