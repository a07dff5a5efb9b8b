"""Whole workers on three real brokers with three replicas: brokers die, restart and hand over what they lead."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import NotEnoughReplicasError

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.schemas.errors import KafkaUnavailable
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import describe_topics, group_members, read_offsets, sources_of
from pintally.streams.settings import Settings
from pintally.tools.drill.fault_context import NoEffect
from pintally.tools.drill.faults import brokers as faults
from pintally.tools.drill.leaders import GROUPS, coordinator, place, prefer, refusal, rotated
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.probe import Probe
from pintally.tools.drill.producers import Event, now_ms
from pintally.tools.drill.truth import Expected
from pintally.tools.engines import Engines
from tests.e2e.running import ASKED_S, Traffic, Worker, pintally, progress, verify, wait_caught_up, wait_for, workers
from tests.e2e.three_brokers import Cluster, open_three_brokers, settings_on
from tests.e2e.topic_records import read_letters
from tests.support.engines import topics_and_tables

TRAFFIC = ("--rate", "600", "--duplicates", "0.02", "--late", "0.01", "--broken", "0.01")
OUTCOMES = ("counted", "duplicate", "late", "invalid")


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with open_three_brokers(tmp_path_factory.mktemp("three")) as engines:
        yield engines


@pytest.fixture
def cluster(three_brokers: Engines, tmp_path: Path) -> Iterator[Cluster]:
    """Topics and tables of one test; all brokers are up and all replicas in sync, before it and after it."""
    settings = settings_on(three_brokers, tmp_path)
    with topics_and_tables(settings, three_brokers.addresses):
        made = Cluster(three_brokers, settings)
        group_members(settings.kafka)  # the first question about a group has Kafka make their topic
        made.wait_whole()
        yield made
        made.heal()


def counted_on(cluster: Cluster, more: int = 1_000) -> None:
    """Return once so many more offsets are in the ledger."""
    before = patiently(lambda: progress(cluster.settings))[0]
    cluster.wait(lambda: progress(cluster.settings)[0] >= before + more, f"{more:,} more offsets counted", 90)


def never_ended(worker: Worker) -> bool:
    """Whether the process went on, with its session, through all that happened."""
    return worker.alive and not worker.said("restarts") and not worker.said("longer than a session")


def produce(settings: Settings, partition: int, values: Sequence[bytes]) -> None:
    """Records that all replicas in sync acknowledge. Raises KafkaError of one that is refused."""
    with closing(KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")) as producer:
        topic = settings.topics.names[Action.SAVE]
        for answer in [producer.send(topic, value, partition=partition) for value in values]:
            answer.get(30)


def events(count: int, pin: int) -> list[bytes]:
    """Valid events of one pin, of now."""
    return [Event(Action.SAVE, pin, now_ms()).value() for _ in range(count)]


def exact(cluster: Cluster, sent: Mapping[str, int]) -> None:
    """All is counted, and as `verify` counts it."""
    wait_caught_up(cluster.settings)
    assert verify(cluster.settings)["records"] == sum(sent[name] for name in OUTCOMES)


def test_workers_count_on_without_the_broker_that_coordinates_them_and_leads_partitions(
    cluster: Cluster, tmp_path: Path
) -> None:
    kafka = cluster.settings.kafka
    with workers(cluster.settings, tmp_path) as start, Traffic(cluster.settings, "--seed", "1", *TRAFFIC) as traffic:
        two = [start("one"), start("two")]
        counted_on(cluster)
        lost = coordinator(kafka)
        assert [at for at, each in cluster.placed().items() if each.leader == lost and at != GROUPS]
        with cluster.without(lost):
            cluster.wait(lambda: coordinator(kafka) not in (lost, -1), "another one coordinates")
            counted_on(cluster)
            sent = traffic.stop()
            exact(cluster, sent)
            assert cluster.broker(lost).pid is None
        assert all(map(never_ended, two))


def test_counts_are_exact_while_all_brokers_restart_in_turn_and_then_every_partition_gets_another_leader(
    cluster: Cluster, tmp_path: Path
) -> None:
    with workers(cluster.settings, tmp_path) as start, Traffic(cluster.settings, "--seed", "2", *TRAFFIC) as traffic:
        worker = start()
        counted_on(cluster)
        pids = [broker.pid for broker in cluster.engines.brokers]
        for broker in cluster.engines.brokers:
            broker.stop()
            broker.start()
            broker.wait_ready(180)
            cluster.wait_whole()
        assert not {broker.pid for broker in cluster.engines.brokers} & set(pids)
        counted_on(cluster)
        move_all_leaders(cluster)
        counted_on(cluster)
        sent = traffic.stop()
        exact(cluster, sent)
        assert never_ended(worker)


def move_all_leaders(cluster: Cluster) -> None:
    """Every partition of the topics, and that of the groups, is led by another broker than before."""
    before = cluster.placed()
    wanted = rotated(before)
    place(cluster.settings.kafka, wanted)
    cluster.wait(lambda: cluster.replicas() == wanted, "another order of the replicas")
    prefer(cluster.settings.kafka, wanted)
    cluster.wait(
        lambda: all(each.leader == wanted[at][0] for at, each in cluster.placed().items()), "all leaders moved"
    )
    assert all(before[at].leader != replicas[0] for at, replicas in wanted.items())


def test_letters_wait_while_the_followers_of_their_partition_are_away_and_none_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Two replicas must have what is acknowledged, and one is left: acks=all is refused, to workers as to others."""
    settings, name = cluster.settings, cluster.settings.topics.names[Action.SAVE]
    letters, blocked = TopicPartition(dead_letter_topic(name), 0), TopicPartition(name, 1)
    leader, follower = sorted({1, 2, 3} - {coordinator(settings.kafka)})
    place(settings.kafka, dict.fromkeys((letters, blocked), (leader, follower)))
    cluster.wait(
        lambda: cluster.replicas()[letters] == cluster.replicas()[blocked] == (leader, follower), "two replicas"
    )
    cluster.wait_whole()
    broken = [b"not an event %d" % number for number in range(50)]
    with workers(settings, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        with cluster.without(follower):
            cluster.wait(lambda: cluster.placed()[letters].in_sync == {leader}, "the follower is given up")
            assert isinstance(refusal(settings.kafka, blocked, b"nobody's"), NotEnoughReplicasError)
            produce(settings, 0, broken)
            cluster.wait(lambda: worker.said("writing to dead-letter topics fails"), "the worker says it")
            assert progress(settings)[0] == 0, "what letters wait for is not counted"
        wait_caught_up(settings)
        cluster.wait(lambda: worker.said("writing to dead-letter topics works again"), "the worker says it")
        assert never_ended(worker)
    assert {letter.value for letter in read_letters(settings, letters.topic)} == set(broken)
    assert verify(settings)["records"] == len(broken)


def test_a_partition_whose_only_broker_is_away_is_named(cluster: Cluster) -> None:
    """Kafka was said not to answer, at the address of brokers that did."""
    settings = cluster.settings
    at = TopicPartition(settings.topics.names[Action.SAVE], 1)
    source = next(
        each for each in sources_of(describe_topics(settings.kafka, settings.topics)) if str(each) == f"{at.topic}[1]"
    )
    before = cluster.replicas()[at]
    place(settings.kafka, {at: (3,)})
    cluster.wait(lambda: cluster.replicas()[at] == (3,) and cluster.placed()[at].leader == 3, "one replica")

    def said() -> str:
        try:
            read_offsets(settings.kafka, [source])
        except KafkaUnavailable as error:
            return error.what
        return ""

    cluster.broker(3).stop()  # cleanly: a replica that was alone and died does not lead again by itself
    wait_for(lambda: "leads" in said(), 60, "a partition without a leader", ASKED_S)
    assert f"leads {source}:" in said()
    cluster.broker(3).start()
    cluster.broker(3).wait_ready(180)
    place(settings.kafka, {at: before})


def test_an_unclean_election_is_named_by_workers_and_by_verify_and_nothing_is_called_exact(
    cluster: Cluster, tmp_path: Path
) -> None:
    """A follower that lacks counted records becomes leader: the log ends below the ledger's position, then is other."""
    settings, name = cluster.settings, cluster.settings.topics.names[Action.SAVE]
    at, (leader, follower) = TopicPartition(name, 0), (1, 2)
    place(settings.kafka, {at: (leader, follower)})
    cluster.wait(lambda: cluster.replicas()[at] == (leader, follower), "two replicas")
    cluster.wait_whole()
    set_topic_configs(settings.kafka, {name: {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}})
    said = json.loads(pintally(settings, "status", "--json").stdout)["weaknesses"]
    assert any(f"{name} has unclean.leader.election.enable=true" in words for words in said)
    assert any(f"{name} has 2 replicas on 3 brokers" in words for words in said)
    with workers(settings, tmp_path) as start:
        worker = start()
        produce(settings, 0, events(20, pin=1))
        wait_caught_up(settings)
        cluster.broker(follower).kill()
        cluster.wait(lambda: cluster.placed()[at].in_sync == {leader}, "the follower is given up")
        produce(settings, 0, events(30, pin=2))
        wait_caught_up(settings)
        cluster.broker(leader).kill()
        cluster.broker(follower).start()
        cluster.wait(lambda: cluster.placed()[at].leader == follower, "the one that lacks records leads", 180)
        cluster.wait(lambda: not worker.alive, "the worker ends")
        assert worker.process.wait() == 2
        assert worker.said(f"{name}[0] ends at offset 20, the ledger has counted to 50: the log was truncated")
    short = pintally(settings, "verify")
    assert short.returncode == 2, short.stdout + short.stderr
    assert f"{name}[0]: the log ends at 20, the ledger at 50: the log was truncated" in short.stdout
    cluster.heal()
    produce(settings, 0, events(40, pin=3))  # now it ends beyond the position: no worker can notice any more
    found = pintally(settings, "verify", "--json")
    assert found.returncode == 1, found.stdout + found.stderr
    shown = json.loads(found.stdout)["shown"]
    assert {each["source"] for each in shown} == {f"{name}[0]"}, shown


def context_of(cluster: Cluster) -> Any:
    """What the drill's faults are injected into; no worker counts."""
    stack = SimpleNamespace(
        settings=cluster.settings, engines=cluster.engines, sink=ClickHouseSink(cluster.settings.clickhouse)
    )
    nobody = SimpleNamespace(count=lambda _name: 0)
    return SimpleNamespace(stack=stack, workers=nobody, rng=random.Random(1), probe=Probe(stack), expected=Expected())


def test_a_fault_of_the_drill_has_no_effect_where_one_replica_is_enough_or_nobody_counts(cluster: Cluster) -> None:
    names = list(map(dead_letter_topic, cluster.settings.topics.names.values()))
    set_topic_configs(cluster.settings.kafka, {each: {"min.insync.replicas": "1"} for each in names})
    with pytest.raises(NoEffect, match="a record with acks=all came to None"):
        faults.lose_followers(context_of(cluster))
    assert {len(replicas) for replicas in cluster.replicas().values()} == {3}, "it is healed all the same"
    with pytest.raises(NoEffect, match="nothing was counted meanwhile"):
        faults.move_leaders(context_of(cluster))
