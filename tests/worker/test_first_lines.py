"""The first ten lines of a worker's log say what it counts, from where to where, by which rules, and where it is."""

import logging
from uuid import UUID

import pytest

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import Assigned
from pintally.streams.worker.first_lines import in_words, listed, say_assigned, say_counting, say_served, say_start

RULES = Rules()
ROWS = Outcomes(70)


def assigned(topic: str, partition: int) -> Assigned:
    """A source in epoch 2, of which 70 records are flushed."""
    source = Source(topic, UUID(int=partition), partition)
    rules = RULES.never_late if topic.endswith(".replay") else RULES
    row = LedgerRow(source, 0, 600, 0, 0, 70, 600_000, ROWS, 70, 2, rules.fingerprint)
    chain = follow(SourceLedger((StartRow(source, 2, 0, 0, rules.to_json()),), (row,)))
    return Assigned(source, chain, base_of(chain), 0)


def said(caplog: pytest.LogCaptureFixture, *partitions: int) -> list[logging.LogRecord]:
    """All that a worker says until it counts, of these partitions of all topics."""
    settings = Settings.of(None, kafka_group_instance_id="one")
    sources = [assigned(topic, partition) for topic in settings.topics.actions for partition in partitions]
    with caplog.at_level(logging.INFO):
        say_start(settings)
        say_served("http://127.0.0.1:9464")
        say_assigned(sources)
        say_counting(sources, sources[:1])
    return caplog.records


def test_the_first_ten_lines_say_all(caplog: pytest.LogCaptureFixture) -> None:
    lines = [record.getMessage() for record in said(caplog, 0, 1, 2, 5)]
    assert len(lines) <= 10
    for words in (
        "of group pintally, instance one",
        "it counts engagement.click.v1, engagement.closeup.v1, engagement.save.v1 and their replay topics",
        "from Kafka at 127.0.0.1:9092 into ClickHouse at 127.0.0.1:9000/pintally",
        "lateness 1:00:00, clock skew 0:05:00, retention 90 days, slices of 250000 offsets",
        f"(fingerprint {RULES.fingerprint})",
        "metrics and health are served at http://127.0.0.1:9464",
        "engagement.save.v1: partitions 0-2, 5, replay topic 0-2, 5; epoch 2 of the rules, "
        f"fingerprint {RULES.fingerprint}",
        "counting begins: 24 sources, 1 with the state that was kept, 23 restored from the log; "
        f"{23 * 70} records that are flushed are folded again",
    ):
        assert any(words in line for line in lines), words


def test_a_worker_that_gets_only_a_replay_topic_says_so(caplog: pytest.LogCaptureFixture) -> None:
    replayed = assigned("engagement.save.v1.replay", 3)
    with caplog.at_level(logging.INFO):
        say_assigned([replayed])
    [line] = caplog.records
    assert line.getMessage().startswith("engagement.save.v1: partitions none, replay topic 3;")
    assert line.__dict__["fingerprint"] == RULES.never_late.fingerprint


def test_a_setting_that_is_probably_not_meant_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    say_start(Settings.of(None), ["no setting has the name PINTALLY_X"])
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no setting has the name PINTALLY_X" in warning.getMessage()


def test_rules_and_partitions_in_words() -> None:
    assert in_words(RULES.never_late).startswith("lateness none, ")
    assert "duplicates left out" in in_words(RULES)
    assert listed([]) == "none"
    assert listed([0]) == "0"
    assert listed([0, 1, 2, 4, 6, 7]) == "0-2, 4, 6-7"
