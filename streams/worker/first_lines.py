"""The first lines of a worker's log: who it is, what it counts from where to where, and by which rules."""

import logging
import os
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from importlib.metadata import version

from pintally.schemas.actions import REPLAY
from pintally.schemas.rules import NEVER_LATE_MS, Rules
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import Assigned
from pintally.streams.worker.supervisor import tell

log = logging.getLogger(__name__)


def say_start(settings: Settings, warnings: Iterable[str] = ()) -> None:
    """Say what it is set to, and what of it is probably not meant, before Kafka and ClickHouse are asked."""
    kafka, ours = settings.kafka, version("pintally")
    log.info(
        "pintally %s: a worker of group %s, instance %s, process %d",
        ours, kafka.group_id, kafka.group_instance_id or "(none)", os.getpid(),
        extra={"version": ours, "group": kafka.group_id, "instance": kafka.group_instance_id, "pid": os.getpid()},
    )  # fmt: skip
    topics, clickhouse = sorted(settings.topics.names.values()), ", ".join(map(str, settings.clickhouse.shards))
    log.info(
        "it counts %s and their replay topics, from Kafka at %s into ClickHouse at %s",
        ", ".join(topics), kafka, clickhouse,
        extra={"topics": topics, "kafka": str(kafka), "clickhouse": clickhouse},
    )  # fmt: skip
    rules = settings.rules.to_rules()
    log.info("its settings ask for these rules: %s", in_words(rules), extra={"fingerprint": rules.fingerprint})
    for warning in warnings:
        log.warning("a setting is probably not what is meant: %s", warning, extra={"reason": warning})


def say_assigned(assigned: Iterable[Assigned]) -> None:
    """Say what the group gave to this worker: a line for each topic, with its replay topic."""
    topics: dict[str, list[Assigned]] = {}
    for each in sorted(assigned, key=lambda each: (each.source.topic, each.source.partition)):
        topics.setdefault(each.source.topic.removesuffix(REPLAY), []).append(each)
    for topic, sources in topics.items():
        _say_topic(topic, sources)


def say_counting(assigned: Sequence[Assigned], kept: Collection[Assigned]) -> None:
    """Say that counting begins, or goes on after a rebalance. `kept` are those whose state was kept."""
    restored = [each for each in assigned if each not in kept]
    again = sum(each.flushed_again for each in restored)
    tell(STATUS=f"counts {len(assigned)} sources")
    log.info(
        "counting begins: %d sources, %d with the state that was kept, %d restored from the log; "
        "%d records that are flushed are folded again",
        len(assigned), len(kept), len(restored), again,
        extra={"sources": len(assigned), "kept": len(kept), "restored": len(restored), "records_again": again},
    )  # fmt: skip


def _say_topic(topic: str, sources: Sequence[Assigned]) -> None:
    """Which partitions of a topic and of its replay topic are counted, and by which rules."""
    own = [each for each in sources if each.source.topic == topic]
    replays = [each for each in sources if each.source.topic != topic]
    partitions, replay_partitions = [[each.source.partition for each in group] for group in (own, replays)]
    newest = max(own or replays, key=lambda each: each.chain.epoch_start.epoch).chain
    log.info(
        "%s: partitions %s, replay topic %s; epoch %d of the rules, fingerprint %s",
        topic, listed(partitions), listed(replay_partitions), newest.epoch_start.epoch, newest.rules.fingerprint,
        extra={
            "topic": topic, "partitions": partitions, "replay_partitions": replay_partitions,
            "epoch": newest.epoch_start.epoch, "fingerprint": newest.rules.fingerprint,
        },
    )  # fmt: skip


def listed(partitions: Sequence[int]) -> str:
    """As `0-3, 7`; `none` if there are none. Expects them in order."""
    spans: list[list[int]] = []
    for partition in partitions:
        if spans and spans[-1][-1] == partition - 1:
            spans[-1][1:] = [partition]
        else:
            spans.append([partition])
    return ", ".join("-".join(map(str, span)) for span in spans) or "none"


def in_words(rules: Rules) -> str:
    """The rules as a person reads them."""
    late = "none" if rules.allowed_lateness_ms == NEVER_LATE_MS else _duration(rules.allowed_lateness_ms)
    return (
        f"lateness {late}, clock skew {_duration(rules.max_clock_skew_ms)}, retention {_duration(rules.retention_ms)}, "
        f"slices of {rules.slice_records} offsets, duplicates {'left out' if rules.dedup else 'counted'} "
        f"(fingerprint {rules.fingerprint})"
    )


def _duration(ms: int) -> str:
    """As `1:00:00` or `90 days`."""
    return str(timedelta(milliseconds=ms)).removesuffix(", 0:00:00")


def say_served(url: str) -> None:
    """Say where metrics and health are."""
    log.info("metrics and health are served at %s", url, extra={"url": url})
