"""An engine that is away is said when it goes, now and then, and when it is back; lines that repeat are counted."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pintally.streams.log import repeated
from pintally.streams.log.repeated import Repeated
from pintally.streams.worker import outage
from pintally.streams.worker.outage import Outage


class Clock:
    """Seconds that a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(outage, "monotonic", lambda: self.now)
        monkeypatch.setattr(repeated, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_ten_minutes_of_tries_are_fourteen_lines(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    kafka = Outage("Kafka")
    for _ in range(6_000):
        kafka.away("does not answer", "counting")
        clock.now += 0.1
    kafka.back()
    kafka.back()
    said = [record.message for record in caplog.records]
    assert said[0] == "Kafka is away: does not answer (waiting: counting)"
    assert said[-1] == "Kafka is back after 600 s"
    assert len(said) == 13


def test_a_second_outage_is_said_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    kafka = Outage("Kafka")
    for _ in range(2):
        kafka.away("does not answer", "counting")
        clock.now += 1
        kafka.back()
    assert len(caplog.records) == 4


def passed(clock: Clock, filter_: Repeated, name: str, message: str, seconds: float, every: float) -> list[str]:
    """What of a line that comes again and again is written."""
    written = []
    for _ in range(round(seconds / every)):
        record = logging.LogRecord(name, logging.WARNING, "", 0, message, (), None)
        if filter_.filter(record):
            written.append(record.getMessage())
        clock.now += every
    return written


def test_a_line_of_a_client_that_repeats_for_ten_minutes_is_written_six_times(clock: Clock) -> None:
    written = passed(clock, Repeated(), "aiokafka.conn", "Unable to connect to 127.0.0.1:9092", 600, 0.05)
    assert len(written) == 6
    assert "more like it in 10 s]" in written[1]


def test_lines_that_differ_only_in_numbers_are_alike_and_others_are_not(clock: Clock) -> None:
    filter_ = Repeated()
    ports = [passed(clock, filter_, "aiokafka", f"node {node} at 0x{node}f is gone", 0.1, 0.1) for node in range(50)]
    assert [len(each) for each in ports].count(1) == 1
    assert passed(clock, filter_, "aiokafka", "another trouble", 0.1, 0.1)


def test_our_own_lines_may_come_once_for_each_of_many_sources(clock: Clock) -> None:
    assert len(passed(clock, Repeated(), "pintally.streams.worker.table", "%s: folded again", 1.2, 0.1)) == 12


def test_a_line_that_was_silent_for_a_while_is_written_at_once_with_the_number_of_those_left_out(clock: Clock) -> None:
    filter_ = Repeated()
    passed(clock, filter_, "aiokafka", "gone", 5, 0.1)
    clock.now += 60
    assert passed(clock, filter_, "aiokafka", "gone", 0.1, 0.1) == ["gone [49 more like it in 65 s]"]
    assert passed(clock, filter_, "aiokafka", "gone", 0.1, 0.1) == []


def test_the_last_words_of_a_worker_are_never_left_out() -> None:
    filter_ = Repeated()
    for _ in range(100):
        assert filter_.filter(
            logging.LogRecord("pintally.streams.worker.process", logging.CRITICAL, "", 0, "it ends", (), None)
        )


def test_many_threads_write_lines_of_many_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the filter is raised to whoever logs, and ends a worker."""
    monkeypatch.setattr(repeated, "MOST_KINDS", 50)
    filter_, kinds, before = Repeated(), ["a" * length for length in range(300)], sys.getswitchinterval()

    def write(thread: int) -> None:
        for number in range(4_000):
            line = kinds[number % 300] + "b" * thread
            filter_.filter(logging.LogRecord("pintally", logging.INFO, "", 0, line, (), None))

    sys.setswitchinterval(1e-6)  # threads take turns as often as Python lets them
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
    finally:
        sys.setswitchinterval(before)
