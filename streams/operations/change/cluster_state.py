"""All sources at one look, for commands that change where counting begins: the ledger, the log, the group."""

from collections.abc import Mapping
from dataclasses import dataclass

from pintally.schemas.errors import Refusal
from pintally.schemas.rows import SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import committed_offsets, describe_topics, group_members, read_offsets, sources_of
from pintally.streams.settings import KafkaSettings, TopicSettings, WorkerSettings


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Every source that Kafka lists, and every other one that the ledger knows."""

    topics: Mapping[str, TopicInfo]
    ledgers: Mapping[Source, SourceLedger]  # of both, those that Kafka lists first
    offsets: Mapping[Source, Offsets]  # of those that Kafka lists, by topic and partition
    committed: Mapping[tuple[str, int], int]  # what the group has committed

    @property
    def started(self) -> dict[Source, SourceLedger]:
        """The sources that have a start row."""
        return {source: ledger for source, ledger in self.ledgers.items() if ledger.starts}


def read_cluster_state(kafka: KafkaSettings, asked: TopicSettings, sink: Sink, session: SinkSession) -> ClusterState:
    """Look at all. The log is read after the ledger, so that a log that grows never looks truncated.

    Raises TopicMissing, KafkaUnavailable and SinkError.
    """
    topics = as_known(describe_topics(kafka, asked), sink.replaced())
    listed = sources_of(topics)
    committed = committed_offsets(kafka)
    ledgers = session.read_ledgers(list(dict.fromkeys([*listed, *sink.known_sources()])))
    return ClusterState(topics, ledgers, read_offsets(kafka, listed), committed)


def refuse_members(kafka: KafkaSettings, worker: WorkerSettings) -> None:
    """Refuse while workers are in the group: what they have in memory is counted by what holds now."""
    if members := group_members(kafka):
        raise Refusal(
            f"group {kafka.group_id} has {len(members)} members: {', '.join(sorted(set(members)))}",
            "Stop all workers; a member that ended without a word leaves after "
            f"{worker.session_timeout_seconds:.0f} s (PINTALLY_SESSION_TIMEOUT_SECONDS).",
        )
