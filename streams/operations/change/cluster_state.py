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
    """Every source that Kafka lists, and every other source in the ledger."""

    topics: Mapping[str, TopicInfo]
    ledgers: Mapping[Source, SourceLedger]  # of all sources; those that Kafka lists come first
    offsets: Mapping[Source, Offsets]  # of the sources that Kafka lists, by topic and partition
    committed: Mapping[tuple[str, int], int]  # committed offsets of the group, by topic and partition

    @property
    def started(self) -> dict[Source, SourceLedger]:
        """The sources that have a start row."""
        return {source: ledger for source, ledger in self.ledgers.items() if ledger.starts}


def read_cluster_state(kafka: KafkaSettings, asked: TopicSettings, sink: Sink, session: SinkSession) -> ClusterState:
    """Read ledger and log. The log is read after the ledger, so that a growing log never looks truncated.

    Raises TopicMissing, KafkaUnavailable and SinkError.
    """
    topics = as_known(describe_topics(kafka, asked), sink.replaced())
    listed = sources_of(topics)
    committed = committed_offsets(kafka)
    ledgers = session.read_ledgers(list(dict.fromkeys([*listed, *sink.known_sources()])))
    return ClusterState(topics, ledgers, read_offsets(kafka, listed), committed)


def refuse_members(kafka: KafkaSettings, worker: WorkerSettings) -> None:
    """Raise Refusal if workers are in the group: they would go on with the old rules."""
    if members := group_members(kafka):
        raise Refusal(
            f"group {kafka.group_id} has {len(members)} members: {', '.join(sorted(set(members)))}",
            "Stop all workers; a member that was killed leaves the group after "
            f"{worker.session_timeout_seconds:.0f} s (PINTALLY_SESSION_TIMEOUT_SECONDS).",
        )
