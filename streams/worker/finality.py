"""Which minutes are final, and which cuts are closed: no source can still count into them (C21, C22, C26).

Decides; `sinks/clickhouse/sealing` acts.

Replay topics hold no minute back, for what comes through them is late by nature: it corrects hours that are sealed.
They hold cuts back: a cut says what arrived, and what comes through them arrives when it is replayed.

Whose clock: a minute is final once its end and the lateness are over by every clock there is, so that none that is
wrong by itself makes anything final before its time.
- The worker's and ClickHouse's: nothing is final beyond the earlier of the two, whatever the sources say. Whichever is
  wrong can only delay.
- A broker's that is ahead: its sources' clocks run ahead, and by the rules no event is counted that they have passed.
  Sealing waits for the other two clocks.
- A broker's that is behind: a busy source holds back by its own clock. An idle one holds back from when a record came
  whose stamp was long over (`BrokersBehind`). What came before such a record, nobody can know: if it counts into an
  hour that is sealed, that hour is opened, sealed again and marked as corrected.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from pintally.schemas.errors import KafkaUnavailable, SinkUnavailable
from pintally.schemas.rows import LedgerRow, SourceLedger
from pintally.schemas.rules import MINUTE_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.sinks.maintenance import MaintainedSink
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.counting.recovery import follow, followed_rows, greatest_lateness, least_lateness
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.settings import KafkaSettings, RulesSettings, Settings, TopicSettings, WorkerSettings
from pintally.streams.worker.clocks import Reading, read_clocks
from pintally.streams.worker.counters import counters
from pintally.streams.worker.cut_looks import SOON_SECONDS, due, seconds_to_next_look
from pintally.streams.worker.kept_ledgers import KeptLedgers
from pintally.streams.worker.outage import outage_of
from pintally.streams.worker.sealing_lines import say_published, say_sealed

IsBehind = Callable[[Source, int], bool]  # a source that is counted to its end and its clock: its broker is behind


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found of a source that was counted to its end."""

    stamped: int  # records that surely have a Kafka timestamp
    looked_at_ms: int
    behind_ms: int  # how far its broker's clock is behind, at least; 0: nothing is known against it


class BrokersBehind:
    """Sources whose broker stamps records with a time that is long over: it is not known whether they are idle.

    Kafka does not tell its clock. But what came between two looks was stamped between them: where the newest stamp lies
    before the first of the two looks, by more than the idle margin, the broker's clock is behind. The next record will
    be stamped early as well, and may count into minutes that the time of day says nothing can reach any more.

    Remembers, in this process, when each source was last seen to grow. Not to be shared between threads.
    """

    def __init__(self) -> None:
        self.seen: dict[Source, Seen] = {}

    def look(self, source: Source, rows: Sequence[LedgerRow], clock: int, looked_at_ms: int, margin_ms: int) -> bool:
        """Whether its broker is known to be behind. `rows` and `clock` are the ledger's, whose position is the end.

        A source of which only gaps came, or records without a timestamp, stays what it was.
        """
        stamped = sum(row.outcomes.counted + row.outcomes.duplicate + row.outcomes.late for row in rows)
        before = self.seen.get(source)
        behind = before.behind_ms if before else 0
        if before and stamped > before.stamped:
            behind = before.looked_at_ms - clock if clock < before.looked_at_ms - margin_ms else 0
        self.seen[source] = Seen(stamped, looked_at_ms, behind)
        return behind > 0


@dataclass(frozen=True)
class Server:
    """One server whose hours and cuts are sealed. A shard is sealed by its own ledger (C34).

    In a thread of its own: sealing may take minutes, and asyncio has six threads on two cores. With as many shards all
    else would wait, flushes too.
    """

    address: ClickHouseAddress
    sink: MaintainedSink
    brokers: BrokersBehind = field(default_factory=BrokersBehind)
    ledgers: KeptLedgers = field(default_factory=KeptLedgers)
    thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1, "sealing"))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    final_until: int | None  # seconds since 1970 below which every minute is final; None while a source holds all back
    passed_ms: int | None  # what the flushed stream time of every source has reached; None while one holds all back
    lateness_seconds: int  # the least that any rules of the ledger ask for
    greatest_lateness_seconds: int  # the greatest of the rules in force
    clocks: Reading
    source_clocks: Mapping[Source, int]  # ms; of sources that brokers stamp
    behind_ms: Mapping[Source, int]  # how far the brokers of these are behind, at least


def final_until(
    rules: Rules,
    idle_margin_ms: int,
    topics: Mapping[str, TopicInfo],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    looked_at_ms: int,
    is_behind: IsBehind = lambda *_: False,
) -> int | None:
    """Seconds since 1970 below which every minute is final; None while some source holds all back.

    `looked_at_ms` is the time taken before `offsets` were read: no later record can carry an earlier append time. It
    must not be one clock's alone. No minute is final whose end and lateness are not over by it.
    """
    reached = passed(idle_margin_ms, topics, ledgers, offsets, looked_at_ms, is_behind)
    if reached is None:
        return None
    final_ms = reached - rules.allowed_lateness_ms
    return max(0, final_ms // MINUTE_MS * MINUTE_MS // 1000)


def passed(
    idle_margin_ms: int,
    topics: Mapping[str, TopicInfo],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    looked_at_ms: int,
    is_behind: IsBehind = lambda *_: False,
) -> int | None:
    """What the flushed stream time of every source has reached, in ms; None while some source holds all back.

    Given all topics, replay topics too, a cut is closed that is at or before it (C26).
    """
    clocks = [looked_at_ms]
    for clock in clocks_of(idle_margin_ms, topics, ledgers, offsets, looked_at_ms, is_behind).values():
        if clock is None:
            return None
        clocks.append(clock)
    return min(clocks)


def clocks_of(
    idle_margin_ms: int,
    topics: Mapping[str, TopicInfo],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    looked_at_ms: int,
    is_behind: IsBehind = lambda *_: False,
) -> dict[Source, int | None]:
    """What each source has reached, in ms; None where it was never read and is not empty. The lowest holds sealing."""
    return {
        source: _clock(
            idle_margin_ms, topics[source.topic], source, ledgers.get(source), offsets[source], looked_at_ms, is_behind
        )
        for source in sources_of(topics)
    }


def _clock(
    idle_margin_ms: int,
    topic: TopicInfo,
    source: Source,
    ledger: SourceLedger | None,
    offsets: Offsets,
    looked_at_ms: int,
    is_behind: IsBehind,
) -> int | None:
    """The flushed stream time of one source in ms; None if it was never read and is not empty."""
    chain = follow(ledger) if ledger and ledger.starts else None
    position = chain.position if chain else offsets.log_start
    stamps_are_recent = topic.timestamp_type == "LogAppendTime" or topic.timestamp_before_max_ms <= idle_margin_ms
    caught_up = position == offsets.log_end == offsets.last_stable
    if caught_up and stamps_are_recent and not (chain and is_behind(source, chain.stream_time)):
        return max(chain.stream_time if chain else 0, looked_at_ms - idle_margin_ms)
    return chain.stream_time if chain else None


def look(
    kafka: KafkaSettings,
    asked: TopicSettings,
    rules: RulesSettings,
    idle_margin_ms: int,
    sink: MaintainedSink,
    brokers: BrokersBehind,
    kept: KeptLedgers,
) -> Look:
    """Ask both engines what is final now. Blocking. The order matters: clocks, log ends, ledgers."""
    common = rules.to_rules()
    known = as_known(describe_topics(kafka, asked), sink.replaced())
    topics = {name: topic for name, topic in known.items() if name in asked.names.values()}
    sources = sources_of(known)
    with sink.session() as session:
        clocks = read_clocks(session)
        offsets = read_offsets(kafka, sources)
        ledgers = kept.read(session.read_ledgers, sources)
    at_ms = clocks.earliest_ms

    def is_behind(source: Source, clock: int) -> bool:
        return brokers.look(source, followed_rows(ledgers[source]), clock, at_ms, idle_margin_ms)

    until = final_until(common, idle_margin_ms, topics, ledgers, offsets, at_ms, is_behind)
    stamped = [s for s in sources_of(topics) if topics[s.topic].timestamp_type == "LogAppendTime" and ledgers[s].starts]
    return Look(
        until,
        passed(idle_margin_ms, known, ledgers, offsets, at_ms, is_behind),
        least_lateness(common, ledgers.values()),
        greatest_lateness(common, ledgers.values()),
        clocks,
        {source: follow(ledgers[source]).stream_time for source in stamped},
        {source: seen.behind_ms for source, seen in brokers.seen.items() if seen.behind_ms},
    )


async def seal_final_hours(
    settings: Settings,
    server: Server,
    assigned: Collection[tuple[str, int]],
    tell: Callable[[Reading, Mapping[Source, int], Mapping[Source, int]], None] = lambda *_: None,
) -> float:
    """Seal what is final, and publish cuts that are closed. Returns the seconds to the next look.

    Done by the worker that counts partition 0 of the first topic; harmless if two do it. What was sealed too early,
    by a version that trusted one clock, is opened again first. `tell` gets what was found.
    """
    kafka, topics, rules = settings.sources
    ordinary, margin_ms = settings.worker.seal_seconds, settings.worker.idle_margin_seconds * 1000
    if (min(topics.names.values()), 0) not in assigned:
        return ordinary
    began = monotonic()
    try:
        in_thread = partial(asyncio.get_running_loop().run_in_executor, server.thread)
        found = await in_thread(look, kafka, topics, rules, margin_ms, server.sink, server.brokers, server.ledgers)
        tell(found.clocks, found.source_clocks, found.behind_ms)
        more = await in_thread(_seal, server, found, settings.worker)
    except (SinkUnavailable, KafkaUnavailable) as error:
        outage_of(error).away(error.what, "sealing")
        return ordinary
    if more:
        return min(SOON_SECONDS, ordinary)
    due_ms = due(found.passed_ms, found.clocks.earliest_ms, margin_ms)
    return seconds_to_next_look(found.clocks.earliest_ms + (monotonic() - began) * 1000, due_ms, ordinary)


def _seal(server: Server, found: Look, worker: WorkerSettings) -> bool:
    """Returns whether there is more to do at once."""
    with server.sink.session() as session:
        session.reopen_early(found.lateness_seconds)
    if found.final_until is not None:
        result = seal(server.address, found.final_until)
        counters.add("hours_sealed", len(result.hours))
        counters.add("hours_corrected", len(result.corrected))
        counters.add("hours_unsettled", len(result.unsettled))
        say_sealed(result)
        seal_users(server.address, worker.least_users, worker.flagged_above)
        seal_arm_users(server.address, worker.least_users)
    if found.passed_ms is None:
        return False
    cuts = seal_cuts(server.address, found.passed_ms // 1000, found.greatest_lateness_seconds)
    counters.add("cuts_sealed", len(cuts.cuts))
    counters.add("features_corrected", len(cuts.corrected))
    counters.add("features_unsettled", len(cuts.unsettled))
    say_published(cuts)
    return cuts.more
