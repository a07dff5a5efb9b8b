"""Where counting of a new topic begins, and where its ids begin. Reads the new log."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from kafka import TopicPartition
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows, rows_of
from pintally.schemas.errors import PintallyError, Refusal
from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import LedgerRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import CellTotals
from pintally.streams.counting.log import Chunk, Envelope, Offsets
from pintally.streams.counting.slices import Base, run_stream_time
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.operations.change.replace import Begin, Pair
from pintally.streams.operations.change.totals import totals_of
from pintally.streams.operations.repair.refold import Stretch
from pintally.streams.settings import KafkaSettings

NAMED = re.compile(r"(.+)\[(\d+)\]=(\d+)")


async def begin_at(kafka: KafkaSettings, source: Source, ends: Offsets, start: int, slice_records: int) -> Begin:
    """Returns where to begin at offset `start`. Ids that can matter there are in its block and the one before (C2).

    Stream times are in ms. Raises Refusal for an offset that the log does not hold, KafkaUnavailable.
    """
    if not ends.log_start <= start <= ends.last_stable:
        raise Refusal(
            f"{source} cannot begin at offset {start}: its log holds offsets {ends.log_start} to {ends.last_stable}",
            "Give one of these offsets.",
        )
    slice_block = start // slice_records
    collect = max(ends.log_start, (slice_block - 1) * slice_records)
    reached = collect_stream_time = 0
    async with aclosing(
        read_chunks(kafka, source, max(ends.log_start, (slice_block - 2) * slice_records), start)
    ) as read:
        async for chunk in read:
            stream_times = run_stream_time(reached, chunk.timestamps)
            before = int(chunk.offsets.searchsorted(collect))
            if before:
                collect_stream_time = int(stream_times[before - 1])
            if len(stream_times):
                reached = int(stream_times[-1])
    return Begin(start, collect, collect_stream_time, reached)


@dataclass(frozen=True, slots=True)
class Renumbered:
    """Gives the records of a copy the offsets that they had in the original log, by its complete slices.

    The ledger does not store where the gaps of a slice are, and it makes no difference: they are put at its end.
    """

    rows: Sequence[LedgerRow]  # they join

    async def read(self, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk, None]:
        """Yields the chunks with new offsets; they hold as many records as the slices."""
        ends = np.cumsum([row.outcomes.total - row.outcomes.gaps for row in self.rows])
        starts = np.array([row.start for row in self.rows])
        position, seen = self.rows[0].start, 0
        async for chunk in chunks:
            places = np.arange(seen, seen + len(chunk))
            of = np.searchsorted(ends, places, "right")
            offsets = starts[of] + places - np.concatenate([[0], ends[:-1]])[of]
            seen += len(chunk)
            end = self.rows[-1].position if seen == ends[-1] else int(offsets[-1]) + 1 if len(chunk) else position
            yield _numbered(chunk, position, end, offsets)
            position = end


def _numbered(chunk: Chunk, start: int, end: int, offsets: NDArray[np.int64]) -> Chunk:
    own = dict(zip(offsets.tolist(), chunk.offsets.tolist(), strict=True))

    def envelopes(wanted: Sequence[int]) -> dict[int, Envelope]:
        found = chunk.envelopes([own[offset] for offset in wanted])
        return {offset: found[own[offset]] for offset in wanted}

    return replace(chunk, start=start, end=end, offsets=offsets, envelopes=envelopes)


async def offset_behind(kafka: KafkaSettings, source: Source, ends: Offsets, records: int) -> int:
    """Returns the offset after the first `records` records of the log. Raises Refusal if the log has fewer."""
    seen = 0
    if not records:
        return ends.log_start
    async with aclosing(read_chunks(kafka, source, ends.log_start, ends.last_stable)) as read:
        async for chunk in read:
            if seen + len(chunk) >= records:
                return int(chunk.offsets[records - seen - 1]) + 1
            seen += len(chunk)
    raise Refusal(
        f"{source} holds {seen:,} records, but {records:,} records of the old topic are counted: it is not a "
        "complete copy",
        "Wait until the copy is complete; or name the first record that is not counted: --from-offset, --from-time.",
    )


def offsets_since(kafka: KafkaSettings, pair: Pair, ends: Mapping[int, Offsets], since: datetime) -> dict[int, int]:
    """Returns the first offset of each partition with this Kafka timestamp (UTC) or a later one; else its end."""
    since_ms = int((since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp() * 1000)
    names = {at: TopicPartition(pair.topic.name, at) for at in ends}
    with open_admin(kafka) as admin:
        found = admin.list_partition_offsets(dict.fromkeys(names.values(), since_ms))
    offsets = {at: found[name].offset for at, name in names.items()}
    return {at: offset if offset >= 0 else ends[at].last_stable for at, offset in offsets.items()}


def offsets_of(named: Sequence[str], pair: Pair, ends: Mapping[int, Offsets]) -> dict[int, int]:
    """Returns the offsets that `TOPIC[PARTITION]=OFFSET` names for this topic. Each partition must have exactly one.

    Raises PintallyError.
    """
    found = {}
    for text in named:
        match = NAMED.fullmatch(text)
        if match is None:
            raise PintallyError(
                f"--from-offset {text}: not an offset of a partition", "Write it as TOPIC[PARTITION]=OFFSET."
            )
        if match[1] == pair.topic.name:
            found[int(match[2])] = int(match[3])
    if ends.keys() != found.keys():
        names = ", ".join(f"{pair.topic.name}[{at}]" for at in sorted(ends.keys() ^ found.keys()))
        raise PintallyError(
            f"--from-offset does not fit the partitions: {names}", "Give one offset for each partition."
        )
    return found


@dataclass(frozen=True, slots=True)
class Would:
    """The outcomes and cells that rules give for a part of a log."""

    outcomes: Outcomes
    cells: CellTotals
    older: int  # records with a Kafka timestamp at or before the given one


async def would_count(
    kafka: KafkaSettings,
    source: Source,
    action: Action,
    rules: Rules,
    begin: tuple[int, int],
    end: int,
    clock_ms: int = 0,
) -> Would:
    """Fold the offsets [begin, end). `begin` is an offset and the stream time (ms) before it."""
    outcomes: list[Outcomes] = []
    cells: list[PinMinuteRows] = []
    base, older = Base(*begin, *begin), 0

    async def read() -> AsyncGenerator[Chunk, None]:
        nonlocal older
        async with aclosing(read_chunks(kafka, source, begin[0], end)) as chunks:
            async for chunk in chunks:
                older += int((chunk.timestamps <= clock_ms).sum())
                yield chunk

    async with aclosing(read()) as chunks:
        async for folded in Stretch(source, action, 0, rules.without_users, base, end).fold(chunks):
            outcomes.append(folded.row.outcomes)
            cells.append(rows_of(PinMinuteRows, folded.cells))
    return Would(sum_of(outcomes), totals_of(cells), older)
