"""How a worker begins while Kafka is away: it waits, says so now and then, and never asks for a person."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from pintally.schemas.errors import KafkaRefused, KafkaUnavailable
from pintally.streams.http.listening import listen
from pintally.streams.settings import KafkaSettings, Settings, TopicSettings
from pintally.streams.worker import outage, run
from pintally.streams.worker.health import Health, Stage


def looks(monkeypatch: pytest.MonkeyPatch, away: int, then: Exception | None = None) -> list[str]:
    """Kafka is away for so many looks, and then answers, or refuses."""
    made: list[str] = []

    def describe(*_: object) -> None:
        made.append("look")
        if len(made) <= away:
            raise KafkaUnavailable("Kafka does not answer", "Start it.")
        if then:
            raise then

    monkeypatch.setattr(run, "refuse_missing_rights", lambda *_: None)
    monkeypatch.setattr(run, "describe_topics", describe)
    monkeypatch.setattr(run, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(run, "KAFKA", outage.Outage("Kafka"))
    return made


def test_a_worker_waits_for_kafka_also_at_its_first_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended with exit code 2, as if a person must act, unless it had taken its own place."""
    made = looks(monkeypatch, away=500)
    with caplog.at_level(logging.INFO):
        run.await_topics(KafkaSettings(_env_file=None), TopicSettings(_env_file=None))
    assert len(made) == 501
    assert [record.message.partition(" after")[0] for record in caplog.records] == [
        "Kafka is away: Kafka does not answer (waiting: counting)",
        "Kafka is back",
    ]


def test_what_kafka_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, away=2, then=KafkaRefused("wrong password", "Set it."))
    with pytest.raises(KafkaRefused):
        run.await_topics(KafkaSettings(_env_file=None), TopicSettings(_env_file=None))


def test_what_is_refused_while_the_worker_loads_ends_its_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, away=1, then=KafkaRefused("wrong password", "Set it."))
    settings, listening = Settings.of(None), listen("127.0.0.1", 0, "PINTALLY_METRICS")
    asked = ThreadPoolExecutor(1).submit(run.ask, settings)
    with closing(listening), pytest.raises(KafkaRefused):
        asyncio.run(run.wait(asked, settings, listening, Health(Stage.WAITING)))
