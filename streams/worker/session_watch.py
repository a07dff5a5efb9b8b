"""A worker that was silent longer than its session ends itself: others may have counted on without it (C17).

Touches aiokafka internals (0.14): `GroupCoordinator._do_heartbeat`, `_on_join_complete` and `_push_error_to_user`.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from pintally.streams.worker.outage import KAFKA
from pintally.streams.worker.process import end_process


class SessionWatch:
    """Measures the time between two answers of the group coordinator, in seconds of the monotonic clock."""

    def __init__(self, session_timeout: float, expired: Callable[[float], None]) -> None:
        self.session_timeout = session_timeout
        self.expired = expired
        self.answered_at: float | None = None

    def answered(self, now: float) -> None:
        """The coordinator answered at `now`; calls `expired` with the gap if it was longer than a session."""
        gap = 0.0 if self.answered_at is None else now - self.answered_at
        self.answered_at = now
        if gap > self.session_timeout:
            self.expired(gap)


def watch_session(coordinator: Any, session_timeout: float, failed: Callable[[BaseException], None]) -> None:
    """End the process when a gap between two answered heartbeats exceeds `session_timeout` seconds.

    A join that completes is an answer too: whoever rejoined after a silence has missed what happened meanwhile. What
    the coordinator would have a caller of the consumer know, who may not call for ever, is passed to `failed`.
    """
    watch = SessionWatch(session_timeout, _silent_too_long)
    do_heartbeat, on_join_complete = coordinator._do_heartbeat, coordinator._on_join_complete

    async def heartbeat() -> bool:
        if answered := await do_heartbeat():
            watch.answered(monotonic())
            KAFKA.back()
        elif coordinator.generation >= 0 and coordinator.coordinator_id is not None:  # else Kafka has answered
            KAFKA.away("a heartbeat was not answered", "this worker's place in its group")
        return bool(answered)

    async def joined(*args: Any) -> None:
        watch.answered(monotonic())
        KAFKA.back()
        await on_join_complete(*args)

    def push_error(error: BaseException) -> Any:
        failed(error)
        return push_error_to_user(error)

    push_error_to_user = coordinator._push_error_to_user
    coordinator._do_heartbeat, coordinator._on_join_complete = heartbeat, joined
    coordinator._push_error_to_user = push_error


def _silent_too_long(gap: float) -> None:
    end_process(f"no answered heartbeat for {gap:.1f} s, longer than a session")
