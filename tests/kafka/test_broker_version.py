"""Brokers that are too old are refused by name; what is new enough, or does not say, is not."""

import pytest

from pintally.streams.kafka.admin import LOWEST_VERSION, KafkaTooOld, refuse_old


@pytest.mark.parametrize("version", [(0, 10, 2), (2, 8), (3, 0), (3, 5), (3, 5, 2)])
def test_an_old_broker_is_named_with_what_it_lacks_and_the_remedy(version: tuple[int, ...]) -> None:
    with pytest.raises(KafkaTooOld) as refused:
        refuse_old("broker-1:9092", version)
    assert refused.value.what.startswith("Kafka at broker-1:9092 speaks the protocol of version ")
    assert ".".join(map(str, version)) in refused.value.what
    assert "older than 3.6" in refused.value.what
    assert refused.value.remedy.startswith("Upgrade the brokers to 3.6 or newer")


@pytest.mark.parametrize("version", [LOWEST_VERSION, (3, 6, 2), (3, 9), (4, 0), (5, 0), None])
def test_a_broker_that_is_new_enough_or_does_not_say_is_taken(version: tuple[int, ...] | None) -> None:
    refuse_old("broker-1:9092", version)
