"""Position, lag and outcomes of each source: the ledger compared with the log."""

from dataclasses import dataclass

from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.settings import KafkaSettings, TopicSettings


@dataclass(frozen=True, slots=True)
class Progress:
    """One source: the ends of its log, and what the ledger covers. Positions in offsets, stream time in ms."""

    source: Source
    log_start: int
    log_end: int
    position: int | None  # everything below it is in ClickHouse; None if the source is not counted yet
    stream_time: int | None
    outcomes: Outcomes  # of the offsets from the source's start to `position`
    last_stable: int | None = None  # records from here on are in an open transaction or behind one; None: unknown

    @property
    def ends(self) -> Offsets:
        """The ends of the log."""
        return Offsets(self.log_start, self.log_end, self.log_end if self.last_stable is None else self.last_stable)

    @property
    def lag(self) -> int:
        """Number of offsets in the log that are not in ClickHouse."""
        return self.log_end - (self.log_start if self.position is None else self.position)


def read_progress(kafka: KafkaSettings, topics: TopicSettings, sink: Sink) -> list[Progress]:
    """Returns every source that Kafka lists, by topic and partition.

    The ledger is read before the log, so that the lag is never too low. Raises TopicMissing, KafkaUnavailable and
    SinkError.
    """
    sources = sources_of(as_known(describe_topics(kafka, topics), sink.replaced()))
    with sink.session() as session:
        ledgers = session.read_ledgers(sources)
    offsets = read_offsets(kafka, sources)
    return [progress_of(source, ledgers.get(source), offsets[source]) for source in sources]


def progress_of(source: Source, ledger: SourceLedger | None, offsets: Offsets) -> Progress:
    """Returns the progress of one source, from its ledger and the ends of its log."""
    if ledger is None or not ledger.starts:
        return Progress(source, offsets.log_start, offsets.log_end, None, None, Outcomes(), offsets.last_stable)
    chain = follow(ledger)
    rows = [*chain.complete, *([chain.unfinished] if chain.unfinished else [])]
    outcomes = sum_of([row.outcomes for row in rows])
    return Progress(
        source, offsets.log_start, offsets.log_end, chain.position, chain.stream_time, outcomes, offsets.last_stable
    )


def lag_of(progress: list[Progress]) -> int:
    """Returns the number of offsets that are not in ClickHouse yet, of all sources."""
    return sum(each.lag for each in progress)
