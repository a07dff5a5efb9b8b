"""Whether a worker is ready, and why not. Pure.

Being alive is no question for this file: a worker is alive while its event loop answers. Whatever else is wrong, Kafka
or ClickHouse away, a rebalance, a restore, a pause or a lag: a restart would mend none of it, and costs a restore.
"""

from dataclasses import dataclass
from enum import StrEnum

STALE_SECONDS = 30.0  # without a flush that succeeded, or a look at the ledger


class Stage(StrEnum):
    """How far a worker has come."""

    WAITING = "waiting"  # for Kafka, or because workers before it ended one after another
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(slots=True)
class Health:
    """The stage that this process is in."""

    stage: Stage = Stage.STARTING


@dataclass(frozen=True, slots=True)
class Seen:
    """What readiness is decided by."""

    stage: Stage
    away: dict[str, float]  # engine -> seconds without an answer; 0: it answers
    rebalancing: bool
    restoring: int  # sources that are not folded up to where they are flushed
    paused: bool
    flushed_ago: float  # seconds


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of readiness. `reason` says what is wrong if it does not hold."""

    name: str
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every check, in the order of what explains most."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether all hold."""
        return all(check.holds for check in self.checks)

    @property
    def document(self) -> dict[str, object]:
        """What `/readyz` answers."""
        reasons = [check.reason for check in self.checks if not check.holds]
        return {
            "ready": self.ready,
            "reason": reasons[0] if reasons else None,
            "checks": {check.name: check.holds for check in self.checks},
        }


def readiness(seen: Seen) -> Readiness:
    """A worker is ready if it counts and its flushes succeed. How far behind it is does not matter."""
    engines = (
        Check(name.lower(), not seconds, f"{name} has not answered for {seconds:.0f} s")
        for name, seconds in seen.away.items()
    )
    running = seen.stage is Stage.RUNNING
    checks = (
        *engines,
        Check("running", running, f"this worker is {seen.stage}"),
        Check("assigned", running and not seen.rebalancing, "the group has not given out its partitions"),
        Check(
            "restored", not seen.restoring, f"{seen.restoring} sources are folded again up to where they are flushed"
        ),
        Check("reading", not seen.paused, "reading is paused: too many cells wait for ClickHouse"),
        Check("flushed", seen.flushed_ago < STALE_SECONDS, f"no flush has succeeded for {seen.flushed_ago:.0f} s"),
    )
    return Readiness(checks)
