"""A partition of which Kafka gives nothing but an error rests, and is told of; one without a leader too."""

import logging
from collections.abc import Iterator

import pytest
from aiokafka.structs import TopicPartition

from pintally.streams.kafka.fetching.refused import (
    AGAIN_SECONDS,
    DAMAGED,
    LONGEST_REST,
    OTHER,
    SAID_AFTER,
    RefusedFetches,
    in_words,
)

TP, NEXT = TopicPartition("saves", 3), TopicPartition("saves", 4)


class Tried:
    """What becomes of a partition that is asked for again as soon as it has rested."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fetches = RefusedFetches(lambda: self.now)

    def until(self, seconds: float) -> Iterator[float]:
        """The rests."""
        while self.now < seconds:
            rest = self.fetches.refused(TP, 7, *in_words(2))
            yield rest
            self.now += rest


def test_an_hour_of_errors_is_an_hour_of_one_try_a_second(caplog: pytest.LogCaptureFixture) -> None:
    """It was a thousand."""
    rests = list(Tried().until(3600))
    assert rests[:5] == [0.1, 0.2, 0.4, 0.8, LONGEST_REST]
    assert len(rests) == pytest.approx(3600 / LONGEST_REST, abs=5)
    assert 5 <= len(caplog.records) <= 3600 / AGAIN_SECONDS + 1


def test_it_is_told_what_is_not_fetched_from_where_on_and_why(caplog: pytest.LogCaptureFixture) -> None:
    tried = Tried()
    list(tried.until(SAID_AFTER))
    assert not caplog.records, "a new leader is elected sooner"
    list(tried.until(SAID_AFTER + 2))
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    said = line.getMessage()
    assert "saves[3]" in said
    assert "from offset 7 on" in said
    assert "CorruptRecord" in said
    assert DAMAGED in said
    tried.fetches.answered(NEXT)
    tried.fetches.answered(TP)
    tried.fetches.answered(TP)
    assert [each.getMessage() for each in caplog.records[1:]] == ["saves[3] is fetched again after 12 s"]


def test_what_was_over_soon_is_not_told_and_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    tried = Tried()
    for end in range(1, 100):
        assert next(tried.until(end)) == 0.1
        tried.fetches.answered(TP)
        tried.now = end
    assert not caplog.records


def test_an_answer_that_no_client_knows_has_its_number_in_words() -> None:
    why, remedy = in_words(4711)
    assert "4711" in why
    assert remedy == OTHER
