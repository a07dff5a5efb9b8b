"""What the replay topics no longer tell: they are kept for a while, and what was replayed before may be replayed anew.

A replay comes after the record whose letter it replays. So of a record that came after all that a topic has forgotten
it is known whether it was replayed; of an earlier one it is not, and nothing of it may be replayed any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError, Refusal
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.log import Offsets
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.settings import Settings, TopicSettings


class ReplaysUnknown(PintallyError):
    """A replay topic no longer tells what was replayed; what is sent might count twice."""


@dataclass(frozen=True, slots=True)
class ReplayHorizon:
    """Kafka timestamps (ms) up to which replays may have been forgotten; of other actions all are known."""

    until: Mapping[Action, int] = field(default_factory=dict)
    skew_ms: int = 0  # how far a record's timestamp may lead the time it came

    def is_before(self, action: Action, timestamp: int) -> bool:
        """Whether a replay of a record with this Kafka timestamp (ms, -1 for none) may have been forgotten."""
        return action in self.until and timestamp - self.skew_ms <= self.until[action]


def read_replay_horizon(settings: Settings) -> ReplayHorizon:
    """What the replay topics have forgotten by now. Blocking.

    Raises TopicMissing, KafkaUnavailable, SinkError, and ReplaysUnknown where one forgot what was not counted yet.
    """
    topics = as_known(
        describe_topics(settings.kafka, settings.topics),
        ClickHouseSink(settings.clickhouse, only_reads=True).replaced(),
    )
    actions = {topics[name].name: action for action, name in settings.topics.replay_names.items()}
    offsets = read_offsets(settings.kafka, sources_of({name: topics[name] for name in actions}))
    with ClickHouseSink(settings.clickhouse, only_reads=True).session() as session:
        ledgers = session.read_ledgers(list(offsets))
    until = {}
    for source, ends in offsets.items():
        ledger = ledgers[source]
        if ends.log_start > 0:
            until[actions[source.topic]] = horizon_of(source, ledger, ends)
        elif ledger.replaces:  # replays of the topic whose place it took came before its own stream time begins
            until[actions[source.topic]] = ledger.starts[0].start_stream_time
    return ReplayHorizon(until, settings.rules.to_rules().max_clock_skew_ms)


def horizon_of(replay: Source, ledger: SourceLedger, offsets: Offsets) -> int:
    """A time (ms) after which nothing was replayed that the log has lost: the stream time where a recorded slice
    reaches its start. Raises ReplaysUnknown if none does."""
    stream_times = [row.stream_time for row in ledger.rows if row.position >= offsets.log_start]
    if not stream_times:
        raise ReplaysUnknown(
            f"{replay} begins at offset {offsets.log_start}, and was not counted so far: what was replayed before is "
            "not known any more",
            "Start the workers. If they refuse, these replays are gone uncounted, and this action takes no more of "
            f"them. Raise PINTALLY_DEAD_LETTER_DAYS, so that {replay.topic} is kept until workers have counted it.",
        )
    return min(stream_times)


def refuse_before_horizon(
    topics: TopicSettings,
    epoch_starts: Iterable[StartRow],
    ledgers: Mapping[Source, SourceLedger],
    horizon: ReplayHorizon,
) -> None:
    """Refuse epoch starts at or above which a letter may lie that was replayed: its record could count there too."""
    for row in epoch_starts:
        action = topics.actions[row.source.topic]
        if horizon.is_before(action, row.start_stream_time) and any(
            _has_letters(each, row) for each in ledgers[row.source].rows
        ):
            raise Refusal(
                f"dead letters of {row.source} from offset {row.start} on may have been replayed, which its replay "
                "topic no longer tells: by other rules their records might count a second time",
                "Let workers count on until that slice has ended: ten minutes, and a record more. Then try again.",
            )


def _has_letters(row: LedgerRow, epoch_start: StartRow) -> bool:
    return row.position > epoch_start.start and row.outcomes.late + row.outcomes.invalid > 0
