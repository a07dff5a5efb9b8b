"""C17: a gap between two answered heartbeats above the session time-out ends the process."""

import asyncio
import time

import pytest

from pintally.schemas.errors import KafkaRefused, KafkaUnavailable
from pintally.streams.settings import KafkaSettings
from pintally.streams.worker import session_watchdog
from pintally.streams.worker.session_watchdog import InstanceTaken, SessionWatchdog


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why the process was to end."""
    reasons: list[str] = []
    monkeypatch.setattr(session_watchdog, "end_process", reasons.append)
    return reasons


def answer(answers: list[float]) -> None:
    """Have Kafka answer at these moments, to a worker whose session lasts 10 s."""
    moments = iter(answers)
    kafka = KafkaSettings(_env_file=None)
    watchdog = SessionWatchdog(kafka, 10.0, failed=lambda _: None, clock=lambda: next(moments))
    for _ in answers:
        watchdog.answered()


def test_regular_answers_never_end_a_worker(ended: list[str]) -> None:
    answer([0, 3, 6, 9, 19])
    assert ended == []


def test_one_gap_above_the_session_ends_it(ended: list[str]) -> None:
    answer([0, 3, 13.5])
    assert ended == ["no answered heartbeat for 10.5 s, longer than a session"]


def test_a_host_that_slept_ends_it(ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC stands still meanwhile, and the group has given its partitions to others."""
    slept = 0.0
    truly = time.clock_gettime
    monkeypatch.setattr(
        session_watchdog,
        "clock_gettime",
        lambda clock: truly(clock) + slept * (clock == time.CLOCK_BOOTTIME),
        raising=False,
    )
    watchdog = SessionWatchdog(KafkaSettings(_env_file=None), 10.0, failed=lambda _: None)
    watchdog.answered()
    slept = 300.0
    watchdog.answered()
    assert [reason.split()[4] for reason in ended] == ["300.0"]


def test_the_first_answer_has_no_gap(ended: list[str]) -> None:
    answer([1e9])
    assert ended == []


def test_a_pause_is_noticed_even_when_the_next_answers_are_regular(ended: list[str]) -> None:
    answer([0, 60, 61, 62])
    assert [reason.split()[4] for reason in ended] == ["60.0"]


def test_a_static_worker_that_kafka_has_forgotten_waits_until_it_hears_who_has_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    refused: list[object] = []
    taken = InstanceTaken("another has it")

    def find_other(_: KafkaSettings, mine: str) -> InstanceTaken:
        asked.append(mine)
        if len(asked) < 3:
            raise KafkaUnavailable("Kafka is away")
        return taken

    monkeypatch.setattr(session_watchdog, "ASK_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(session_watchdog, "find_other", find_other)
    monkeypatch.setattr(session_watchdog, "refuse", refused.append)
    kafka = KafkaSettings(_env_file=None, group_instance_id="one")
    asyncio.run(SessionWatchdog(kafka, 10.0, failed=lambda _: None).forgotten("one-1"))
    assert asked == ["one-1"] * 3
    assert refused == [taken]


def test_a_worker_that_may_not_ask_who_has_its_name_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[BaseException] = []
    no = KafkaRefused("Kafka says no")

    def find_other(_: KafkaSettings, __: str) -> None:
        raise no

    monkeypatch.setattr(session_watchdog, "find_other", find_other)
    kafka = KafkaSettings(_env_file=None, group_instance_id="one")
    with pytest.raises(KafkaRefused):
        asyncio.run(SessionWatchdog(kafka, 10.0, failed=failed.append).forgotten("one-1"))
    assert failed == [no]
