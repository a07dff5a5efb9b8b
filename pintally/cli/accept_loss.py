"""`pintally accept-loss`: accept data loss explicitly, so that counting can continue."""

from typing import Annotated

import typer

from pintally.cli.confirm import agree
from pintally.cli.console import data
from pintally.cli.double_counts import warn
from pintally.cli.lost_ranges import describe, print_lost
from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import LostKind
from pintally.sinks.clickhouse.connection import MAINTENANCE_SECONDS
from pintally.streams.operations.change.cluster_state import ClusterState, read_cluster_state, refuse_members
from pintally.streams.operations.change.epoch_starts import apply_change
from pintally.streams.operations.change.lost import Lost, change_of, plan_lost
from pintally.streams.settings import load_settings
from pintally.streams.worker.servers import maintained_sink_of

MAX_PASSES = 4  # a log that lost its beginning and its end needs two, and shards that lack slices one before
THEN = {
    LostKind.TRIMMED: "counting continues at offset {start:,}; an event that is sent again may be counted twice",
    LostKind.TRUNCATED: "records from offset {start:,} on are counted again, as the log has them now",
    LostKind.RETIRED: "its counts stay; the new topic is counted from its start",
    LostKind.RECOUNTED: "all records in the log are counted again, from offset {start:,}",
    LostKind.DAMAGED: "its counts stay; `verify` reports the range as lost, not as a difference",
}


def accept_loss(
    source: Annotated[
        list[str] | None, typer.Option(help="Only this source, `topic[partition]`; may be repeated.")
    ] = None,
    note: Annotated[str, typer.Option(help="The reason; it is stored with the loss.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Accept the loss of records that are gone, so that counting can continue.

    Use it for losses that stop a worker and that `repair` cannot undo: retention deleted records before they were
    counted, the log lost its end, a topic was deleted and created again, or the ledger was lost. Where several servers
    share the pins, also for what one of them lacks, and the log too. Stop all workers first. The command shows what is
    lost and what it will do, and asks for confirmation. `status`, `rules show` and `verify` list the lost ranges
    permanently. If the command is interrupted, run it again.

    Exit codes: 0 done, or nothing is lost; 2 it could not be done.

    Example:

        pintally accept-loss --note "disk full from Friday to Sunday"
    """
    settings = load_settings(over_shards=True)
    sink = maintained_sink_of(settings.clickhouse, MAINTENANCE_SECONDS)
    accepted = 0
    with sink.session() as session:
        for _ in range(MAX_PASSES):
            found = read_cluster_state(settings.kafka, settings.topics, sink, session)
            _refuse_unknown(source or [], found)
            plan = plan_lost(
                settings.rules.in_topic,
                found.ledgers,
                found.offsets,
                found.committed,
                session.slice_sums,
                session.read_clock() // 1000,
                note,
            )
            plan = [each for each in plan if not source or str(each.source) in source]
            if not plan:
                break
            refuse_members(settings.kafka, settings.worker)
            _print(plan)
            warn(settings, session, found, plan)
            agree(yes, "Accept this loss?")
            refuse_members(settings.kafka, settings.worker)
            apply_change(session, change_of(plan))
            accepted += len(plan)
    if not accepted:
        data.print("no new losses")
        print_lost(found.ledgers)


def _refuse_unknown(asked: list[str], found: ClusterState) -> None:
    known = {str(source) for source in found.ledgers}
    if unknown := set(asked) - known:
        raise PintallyError(f"--source {', '.join(sorted(unknown))}: no such source", "`pintally status` lists all.")


def _print(plan: list[Lost]) -> None:
    for each in plan:
        if each.row is None and each.lacked:
            continue  # given up before; a shard that was restored gets its ledger row again
        start = each.start.start if each.start else 0
        kind = each.row.kind if each.row else LostKind.RECOUNTED
        gone = describe(each.row) if each.row else f"{each.source}: its ledger"
        data.print(f"lost: {gone}", markup=False)
        data.print(f"  {THEN[kind].format(start=start)}", markup=False)
