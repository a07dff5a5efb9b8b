"""The replay horizon: replay topics delete old records, so older replays are unknown.

A replay comes after the record that it replays. If a record came after everything that the topic has deleted, the topic
tells whether it was replayed. If it came before, nobody knows, and it must not be replayed any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError, Refusal
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.shards import Place
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.log import Offsets
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.settings import Settings, TopicSettings


class ReplaysUnknown(PintallyError):
    """It is unknown what was replayed, so that a replay might count twice."""


@dataclass(frozen=True, slots=True)
class ReplayHorizon:
    """Kafka timestamps (ms) up to which replays may be unknown; replays of other actions are all known."""

    until: Mapping[Action, int] = field(default_factory=dict)
    skew_ms: int = 0  # how far the timestamp of a record may be ahead of its arrival

    def is_before(self, action: Action, timestamp: int) -> bool:
        """Whether a record with this Kafka timestamp (ms, -1 for none) may have been replayed without a trace."""
        return action in self.until and timestamp - self.skew_ms <= self.until[action]


def read_replay_horizon(settings: Settings) -> ReplayHorizon:
    """Returns the current horizon. Blocking.

    Raises TopicMissing, KafkaUnavailable, SinkError, and ReplaysUnknown if uncounted replays were deleted.
    """
    topics = as_known(
        describe_topics(settings.kafka, settings.topics),
        ClickHouseSink(settings.clickhouse, only_reads=True).replaced(),
    )
    actions = {topics[name].name: action for action, name in settings.topics.replay_names.items()}
    offsets = read_offsets(settings.kafka, sources_of({name: topics[name] for name in actions}))
    first = Place(0, len(settings.clickhouse.shards))
    with ClickHouseSink(settings.clickhouse, only_reads=True, place=first).session() as session:
        ledgers = session.read_ledgers(list(offsets))
    until = {}
    for source, ends in offsets.items():
        ledger = ledgers[source]
        if ends.log_start > 0:
            until[actions[source.topic]] = horizon_of(source, ledger, ends)
        elif ledger.replaces:  # replays in the topic that it replaced came before its stream time begins
            until[actions[source.topic]] = ledger.starts[0].start_stream_time
    return ReplayHorizon(until, settings.rules.to_rules().max_clock_skew_ms)


def horizon_of(replay: Source, ledger: SourceLedger, offsets: Offsets) -> int:
    """Returns a time (ms) after which all replays are known: the stream time where a flushed slice reaches the start of
    the log. Raises ReplaysUnknown if no slice does."""
    stream_times = [row.stream_time for row in ledger.rows if row.position >= offsets.log_start]
    if not stream_times:
        raise ReplaysUnknown(
            f"{replay} begins at offset {offsets.log_start}, and is not counted up to there: earlier replays are "
            "unknown",
            "Start the workers. If they refuse, these replays are lost, and this action cannot be replayed any more. "
            f"Raise PINTALLY_DEAD_LETTER_DAYS, so that {replay.topic} is kept until workers have counted it.",
        )
    return min(stream_times)


def refuse_before_horizon(
    topics: TopicSettings,
    epoch_starts: Iterable[StartRow],
    ledgers: Mapping[Source, SourceLedger],
    horizon: ReplayHorizon,
) -> None:
    """Refuse an epoch start if a later dead letter may have been replayed: its record might count a second time."""
    for row in epoch_starts:
        action = topics.actions[row.source.topic]
        if horizon.is_before(action, row.start_stream_time) and any(
            _has_letters(each, row) for each in ledgers[row.source].rows
        ):
            raise Refusal(
                f"dead letters of {row.source} from offset {row.start} on may have been replayed, but their replay "
                "topic has deleted its records: by other rules they might count a second time",
                "Let workers continue until that slice has ended: ten minutes and one more record. Then try again.",
            )


def _has_letters(row: LedgerRow, epoch_start: StartRow) -> bool:
    return row.position > epoch_start.start and row.outcomes.late + row.outcomes.invalid > 0
