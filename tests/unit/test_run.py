"""How a worker begins while Kafka is away: refused where a person started it, patient where it took its own place."""

import pytest

from streams import run
from streams.admin import KafkaUnavailable
from streams.restart import RESTARTED
from streams.settings import Settings


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kafka is away for two looks."""
    looks: list[str] = []

    def describe(_: Settings) -> None:
        looks.append("look")
        if len(looks) < 3:
            raise KafkaUnavailable("Kafka does not answer", "Start it.")

    monkeypatch.setattr(run, "describe_topics", describe)
    monkeypatch.setattr(run, "RETRY_SECONDS", 0.0)
    return looks


def test_a_worker_that_a_person_starts_says_at_once_that_kafka_is_away(
    away: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RESTARTED, raising=False)
    with pytest.raises(KafkaUnavailable):
        run.await_topics(Settings(_env_file=None))
    assert len(away) == 1


def test_a_worker_that_took_its_own_place_waits_for_kafka(away: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A long drill showed it: a broker that came back slowly made such workers end as if a person must act."""
    monkeypatch.setenv(RESTARTED, "1")
    run.await_topics(Settings(_env_file=None))
    assert len(away) == 3
