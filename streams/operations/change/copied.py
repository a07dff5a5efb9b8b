"""Compares the first records of a copy with the counts of the topic that it replaces."""

from contextlib import aclosing
from dataclasses import asdict

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows, rows_of
from pintally.schemas.errors import Refusal
from pintally.schemas.rows import LedgerRow, SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.recovery import effective, follow
from pintally.streams.counting.slices import Base
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.operations.change.places import Renumbered
from pintally.streams.operations.change.totals import compared, hour, totals_of, without
from pintally.streams.operations.repair.refold import Stretch
from pintally.streams.settings import KafkaSettings

REMEDY = (
    "It lacks records, or has them in another order or with other timestamps. Name the first record that is not "
    "counted yet, with --from-offset or --from-time."
)


async def refuse_other_counts(
    kafka: KafkaSettings,
    session: MaintenanceSession,
    old: tuple[Source, SourceLedger],
    new: tuple[Source, int, int],
    action: Action,
) -> None:
    """Fold records of the new log as if they were the complete slices of the old log, and compare.

    `new` is the new source with its first and last offset. Stream times and outcomes of each slice, and the events of
    each minute and pin, must be the same. Raises Refusal with the first difference.
    """
    (source, ledger), (copy, start, end) = old, new
    chain, first = follow(ledger), ledger.starts[0]
    rows = {row.start: row for row in chain.complete}
    if len({each.rules for each in ledger.starts}) > 1 or first.start not in rows or effective(ledger):
        raise Refusal(f"{source} was counted by several rules, or a part of it is lost: it cannot be compared", REMEDY)
    cells: list[PinMinuteRows] = []
    base = Base(first.start, first.start_stream_time, first.start, first.start_stream_time)
    stretch = Stretch(source, action, first.epoch, chain.rules.without_users, base, chain.complete[-1].position)
    async with aclosing(read_chunks(kafka, copy, start, end)) as chunks:
        async for folded in stretch.fold(Renumbered(chain.complete).read(chunks)):
            if difference := _differs(folded.row, rows.get(folded.row.start)):
                raise _refused(copy, f"offset {folded.row.start:,} of the old log: {difference}")
            cells.append(rows_of(PinMinuteRows, folded.cells))
    whole = {(row.slice_block, row.arrived_at) for row in chain.complete}
    names = session.slice_sums(source).keys() - whole
    others = [session.read_slice(PinMinuteRows, source, *name) for name in names]
    for both in compared(totals_of(cells), without(session.cell_totals([source]), others)):
        if both.first != both.second:
            at = f"pin {both.pin_id} in the minute of {hour(both.minute)} UTC"
            raise _refused(copy, f"{at}: {both.first:,} events instead of {both.second:,}")


def _differs(found: LedgerRow, recorded: LedgerRow | None) -> str | None:
    if recorded is None:
        return "a slice begins there, but the ledger has none"
    for name, number in asdict(found.outcomes).items():
        if number != (known := getattr(recorded.outcomes, name)):
            return f"{number:,} {name} in its slice instead of {known:,}"
    if (found.position, found.stream_time) != (recorded.position, recorded.stream_time):
        ends = f"{found.position:,} with the stream time {found.stream_time} ms"
        return f"its slice ends at {ends} instead of {recorded.position:,} with {recorded.stream_time} ms"
    return None


def _refused(new: Source, what: str) -> Refusal:
    return Refusal(f"{new} is not a copy of the counted log: {what}", REMEDY)
