"""What is said of topics that do not outlive the loss of a broker."""

from dataclasses import replace
from uuid import UUID

import pytest

from pintally.streams.counting.log import TopicInfo
from pintally.streams.kafka.durability import weaknesses

TOPIC = TopicInfo("saves", UUID(int=1), 4, "LogAppendTime", 0, 0, "delete")


def said(brokers: int, replicas: int = 3, in_sync_at_least: int = 2, *, unclean_election: bool = False) -> str:
    topic = replace(TOPIC, replicas=replicas, in_sync_at_least=in_sync_at_least, unclean_election=unclean_election)
    return "\n".join(weaknesses(topic, brokers))


def test_what_migrate_makes_on_three_brokers_has_no_weakness_and_one_broker_alone_can_do_no_better() -> None:
    assert said(3) == ""
    assert said(5) == ""
    assert said(1, replicas=1, in_sync_at_least=1) == ""
    assert said(1, replicas=1, in_sync_at_least=1, unclean_election=True) == "", "nobody else could be elected"


@pytest.mark.parametrize("replicas", [1, 2])
def test_fewer_replicas_than_there_could_be_are_named(replicas: int) -> None:
    words = said(3, replicas=replicas, in_sync_at_least=1)
    assert f"saves has {replicas} replica" in words
    assert "on 3 brokers" in words
    assert "PINTALLY_REPLICATION=3" in words


def test_acknowledgement_by_one_broker_alone_is_named_with_the_command() -> None:
    words = said(3, in_sync_at_least=1)
    assert words.count("\n") == 0
    assert "--entity-name saves --add-config min.insync.replicas=2" in words


@pytest.mark.parametrize(("replicas", "in_sync"), [(2, 2), (3, 3)])
def test_producers_that_any_broker_can_stop_are_named(replicas: int, in_sync: int) -> None:
    assert "while any broker is away, producers are refused" in said(
        replicas, replicas=replicas, in_sync_at_least=in_sync
    )


def test_unclean_elections_are_named_with_the_command() -> None:
    assert "unclean.leader.election.enable=false" in said(3, unclean_election=True)
