"""The models of the document: what `pintally serve` knows now, for the page, `/api/state.json` and `/api/events`.

document.py makes one from each look. Times are Unix seconds, durations seconds, offsets and positions numbers of
records. A pin id is text: JavaScript's numbers end at 2^53.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["ok", "behind", "stopped", "wrong", "unknown"]


class Part(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(Part):
    """The sentence that stands first, and what to do if all is not well."""

    level: Level
    sentence: str  # "All records are counted, 0.8 s behind; hours are final until 11:00 UTC."
    command: str | None = None  # what finds out more, or mends it
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
    retention_headroom: float | None  # None: nothing uncounted, or nothing is deleted
    blocked: bool  # by an open transaction
    holds_sealing: bool
    member: str | None  # the group instance id or client id of the worker that has it; None: nobody
    state: Literal["ok", "behind", "stalled", "blocked", "not started"]


class Rate(Part):
    """Outcomes of one topic: in all, and a second over the last ten seconds."""

    topic: str
    outcome: Literal["counted", "duplicate", "late", "invalid", "gaps"]
    total: int
    per_second: float


class Step(Part):
    """One step of flushes of all workers over the last minute."""

    step: str
    seconds: float  # mean


class WorkerState(Part):
    """One worker, as its `/metrics` says."""

    address: str
    answers: bool
    partitions: int
    paused: int
    pending_cells: int
    pending_cells_limit: int
    restoring: bool


class Workers(Part):
    """What the workers themselves say; empty if none of their addresses is known."""

    known: list[WorkerState]
    freshness_p50: float | None  # over the last minute; None without a flush
    freshness_p99: float | None
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
    """What the last `pintally verify --metrics` found."""

    at: float
    records: int
    differences: int


class State(Part):
    """All of it. A part that could not be looked up is of an older look: its engine's name is in `away`."""

    version: str
    number: int  # of the look; grows
    looked_at: float
    away: dict[Literal["kafka", "clickhouse"], float]  # engines that do not answer, and since when
    refused: dict[Literal["kafka", "clickhouse"], str] = {}  # those of them that answer, but say no; and what they say
    condition: Condition
    lag: int
    lag_seconds: float
    sources: list[SourceState]
    outcomes: list[Rate]
    workers: Workers
    sealing: Sealing
    top: list[TopPin]
    dead_letters: list[Letters]
    lost_records: int
    verified: Verified | None
