"""Each refusal names the thing, the value and the remedy; and what is in order is not refused."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from pintally.schemas.errors import Refusal
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, LostKind, LostRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.counting.recovery import Chain
from pintally.streams.counting.refusals import (
    refuse_log,
    refuse_lost_ledger,
    refuse_recreated,
    refuse_retired,
    refuse_rules,
    refuse_topic,
)
from pintally.streams.counting.slices import Base
from pintally.streams.kafka.topics import FOREVER_MS

SOURCE = Source("engagement.save.v1", UUID(int=7), 3)
OTHER = replace(SOURCE, topic_id=UUID(int=8))
RULES = Rules(slice_records=100)
TOPIC = TopicInfo("engagement.save.v1", SOURCE.topic_id, 4, "LogAppendTime", FOREVER_MS, FOREVER_MS, "delete")
ROW = LedgerRow(SOURCE, 2, 600, 200, 0, 250, 9, Outcomes(50), 50, 0, RULES.fingerprint)
CHAIN = Chain((), ROW, StartRow(SOURCE, 0, 200, 0, RULES.to_json()))
BASE = Base(100, 0, 200, 0)


def said(refuse: Callable[[], None], *words: str) -> None:
    """The refusal says what was found, with these words, and what to do."""
    with pytest.raises(Refusal) as refused:
        refuse()
    for word in words:
        assert word in str(refused.value), word
    assert refused.value.remedy.endswith(".")
    assert refused.value.what not in refused.value.remedy


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
def test_a_compacted_topic_is_refused(policy: str) -> None:
    topic = replace(TOPIC, cleanup_policy=policy)
    remedy = "--add-config cleanup.policy=delete`"
    said(lambda: refuse_topic(topic, RULES), TOPIC.name, f"cleanup.policy={policy}", remedy)


def test_producers_timestamps_further_ahead_than_the_skew_are_refused() -> None:
    topic = replace(TOPIC, timestamp_type="CreateTime", timestamp_after_max_ms=RULES.max_clock_skew_ms + 1)
    said(
        lambda: refuse_topic(topic, RULES),
        TOPIC.name, "300001 ms", "message.timestamp.after.max.ms=300000", "LogAppendTime",
    )  # fmt: skip


@pytest.mark.parametrize(
    "topic",
    [
        TOPIC,
        replace(TOPIC, timestamp_type="CreateTime", timestamp_after_max_ms=RULES.max_clock_skew_ms),
        replace(TOPIC, timestamp_type="CreateTime", timestamp_after_max_ms=0),
    ],
)
def test_a_topic_that_keeps_what_was_sent_is_not_refused(topic: TopicInfo) -> None:
    refuse_topic(topic, RULES)


def test_a_topic_made_again_under_the_same_name_is_refused() -> None:
    said(
        lambda: refuse_recreated(OTHER, [SOURCE]),
        SOURCE.topic, str(SOURCE.topic_id), str(OTHER.topic_id), "`pintally accept-loss`",
    )  # fmt: skip


def test_another_partition_of_the_topic_or_another_topic_is_none_made_again() -> None:
    known = [replace(SOURCE, partition=0), replace(OTHER, topic="engagement.click.v1")]
    refuse_recreated(SOURCE, known)
    refuse_recreated(SOURCE, [])


def test_a_committed_offset_without_a_ledger_is_a_ledger_that_was_lost() -> None:
    committed = {(SOURCE.topic, 3): 41}
    words = "engagement.save.v1[3]", "41", "Restore", "`pintally accept-loss`"
    said(lambda: refuse_lost_ledger(SOURCE, committed), *words)


def test_a_source_that_the_group_never_read_may_have_no_ledger() -> None:
    for committed in ({}, {(SOURCE.topic, 3): 0}, {(SOURCE.topic, 2): 41}, {("engagement.click.v1", 3): 41}):
        refuse_lost_ledger(SOURCE, committed)


@pytest.mark.parametrize(
    "asked",
    [
        replace(RULES, allowed_lateness_ms=1),
        replace(RULES, max_clock_skew_ms=1),
        replace(RULES, retention_ms=1),
        replace(RULES, slice_records=99),
        replace(RULES, dedup=False),
    ],
)
def test_other_rules_than_the_ledgers_are_refused(asked: Rules) -> None:
    said(
        lambda: refuse_rules(SOURCE, CHAIN, asked),
        "engagement.save.v1[3]", RULES.fingerprint, RULES.to_json(), asked.fingerprint, asked.to_json(), "PINTALLY_",
        "`pintally rules apply`",
    )  # fmt: skip


def test_the_ledgers_own_rules_are_not_refused() -> None:
    refuse_rules(SOURCE, CHAIN, Rules(slice_records=100))


def test_a_log_that_starts_above_what_must_be_read_is_refused() -> None:
    offsets = Offsets(log_start=101, log_end=300, last_stable=300)
    said(
        lambda: refuse_log(SOURCE, BASE, CHAIN.position, offsets),
        "engagement.save.v1[3]",
        "offset 100",
        "at 101",
        "`pintally accept-loss`",
    )


def test_a_log_that_ends_before_what_was_counted_is_refused() -> None:
    offsets = Offsets(log_start=100, log_end=249, last_stable=249)
    said(
        lambda: refuse_log(SOURCE, BASE, CHAIN.position, offsets),
        "engagement.save.v1[3]",
        "offset 249",
        "to 250",
        "`pintally accept-loss`",
    )


def test_a_log_that_holds_exactly_what_is_needed_is_not_refused() -> None:
    refuse_log(SOURCE, BASE, CHAIN.position, Offsets(log_start=100, log_end=250, last_stable=240))


def test_a_topic_of_another_prefix_is_refused_unless_it_is_counted_already() -> None:
    """A mirror may have another prefix; a partition that was added to a topic that is counted is none."""
    mirror = replace(SOURCE, topic=f"mirror.{SOURCE.topic}", topic_id=UUID(int=77))
    with pytest.raises(Refusal, match="PINTALLY_CLICKHOUSE_DATABASE"):
        refuse_recreated(mirror, [SOURCE])
    refuse_recreated(replace(mirror, partition=9), [SOURCE, mirror])
    refuse_recreated(mirror, [SOURCE], [SOURCE])
    refuse_recreated(replace(mirror, topic="mirror.engagement.click.v1"), [SOURCE])


def test_a_topic_that_was_given_up_is_refused_where_it_lives_on() -> None:
    ledger = SourceLedger((), (), (LostRow(SOURCE, 0, LostKind.RETIRED, 7, 2**48 - 1, ""),))
    with pytest.raises(Refusal, match="was given up"):
        refuse_retired(SOURCE, ledger)
    refuse_retired(SOURCE, SourceLedger((), ()))
