"""The session watchdog: a worker that may have lost its partitions to another one ends itself (self-fencing, C17).

- After a gap between two answers of Kafka that is longer than a session: others may have counted on meanwhile. A join
  that completes is an answer too.
- When another worker has taken its group instance id: the two would take each other's place again and again. Kafka
  answers to the one that is replaced as to a member that it has forgotten, so it is asked who has the instance now. A
  worker that was restarted under its name hears nothing of this: the old one is gone.
"""

import asyncio
from collections.abc import Callable
from time import CLOCK_BOOTTIME, clock_gettime

from pintally.schemas.errors import PintallyError, Unavailable
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import members_by
from pintally.streams.settings import KafkaSettings
from pintally.streams.worker.counters import counters
from pintally.streams.worker.outage import KAFKA
from pintally.streams.worker.process import end_process, refuse

ASK_AGAIN_SECONDS = 0.5


class InstanceTaken(PintallyError):
    """Another worker runs under our instance name."""


class SessionWatchdog:
    """Hears of this worker's place in its group: a `GroupListener`."""

    def __init__(
        self,
        kafka: KafkaSettings,
        session_seconds: float,
        failed: Callable[[BaseException], None],
        clock: Callable[[], float] = lambda: clock_gettime(CLOCK_BOOTTIME),  # goes on while the host sleeps
    ) -> None:
        self.failed = failed
        self._kafka = kafka
        self._session_seconds = session_seconds
        self._clock = clock
        self._answered_at: float | None = None  # seconds

    @property
    def silence(self) -> float | None:
        """Seconds since the coordinator last answered; None before it has."""
        return None if self._answered_at is None else self._clock() - self._answered_at

    def answered(self) -> None:
        """End the process if the last answer is longer ago than a session."""
        now = self._clock()
        gap = 0.0 if self._answered_at is None else now - self._answered_at
        self._answered_at = now
        if gap > self._session_seconds:
            counters.add("sessions_expired")
            end_process(f"no answered heartbeat for {gap:.1f} s, longer than a session")
        KAFKA.back()

    def unanswered(self) -> None:
        """Say that Kafka is away."""
        KAFKA.away("a heartbeat was not answered", "this worker's place in its group")

    async def forgotten(self, member_id: str) -> None:
        """End with exit code 2 if another member has our instance id."""
        if self._kafka.group_instance_id is None:
            return
        while True:  # to join again without an answer could take that member's place
            try:
                taken = await asyncio.to_thread(find_other, self._kafka, member_id)
                break
            except Unavailable:
                self.unanswered()
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            except PintallyError as error:
                self.failed(error)
                raise
        if taken:
            refuse(taken)


def find_other(kafka: KafkaSettings, mine: str) -> InstanceTaken | None:
    """The other member that has our instance name, if Kafka knows one. `mine` is our member id. Blocking.

    Raises KafkaUnavailable, and what else `open_admin` raises.
    """
    with open_admin(kafka) as admin:
        members = members_by(admin, kafka)
    for member in members:
        if member.get("group_instance_id") == kafka.group_instance_id and member["member_id"] != mine:
            host = str(member.get("client_host", "")).lstrip("/") or "an unknown host"
            return InstanceTaken(
                f"another worker runs with --instance {kafka.group_instance_id} in group "
                f"{kafka.group_id}, on {host}, and has taken this one's place",
                "Give each worker a name of its own (--instance, PINTALLY_KAFKA_GROUP_INSTANCE_ID), or none.",
            )
    return None
