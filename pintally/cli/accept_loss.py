"""`pintally accept-loss`: what is gone for good is given up, in so many words, so that counting can go on."""

from typing import Annotated

import typer

from pintally.cli.confirm import agree
from pintally.cli.console import data
from pintally.cli.double_counts import warn
from pintally.cli.lost_ranges import describe, print_lost
from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import LostKind
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.change.cluster_state import ClusterState, read_cluster_state, refuse_members
from pintally.streams.operations.change.epoch_starts import apply_change
from pintally.streams.operations.change.lost import Lost, change_of, plan_lost
from pintally.streams.settings import load_settings

TIMEOUT_SECONDS = 600.0  # a sum over all cells may take minutes
ROUNDS = 3  # a log that lost its end and its beginning takes two
THEN = {
    LostKind.TRIMMED: "counting goes on at offset {start:,}; what was sent before it may count again if it is repeated",
    LostKind.TRUNCATED: "all from offset {start:,} on is counted anew, as the log has it now",
    LostKind.RETIRED: "its counts stay, and the new topic is counted from its start",
    LostKind.RECOUNTED: "all that the log holds is counted anew, from offset {start:,}",
    LostKind.DAMAGED: "its counts stay as they are, and `verify` names the range instead of a difference",
}


def accept_loss(
    source: Annotated[
        list[str] | None, typer.Option(help="Only this source, `topic[partition]`; may be repeated.")
    ] = None,
    note: Annotated[str, typer.Option(help="Why; it is kept with the range.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give up what is gone for good; the ledger keeps it.

    For what no worker and no `repair` can mend: retention overtook the counting, the log lost its end, a topic was
    deleted and created again, the ledger itself was lost. It shows what is gone and what will be done, and asks. All
    workers must be stopped. `status`, `rules show` and `verify` name the ranges for ever. If it is interrupted, run it
    again.

    Exit codes: 0 done, or nothing is lost; 2 it could not be done.

    Example:

        pintally accept-loss --note "disk full from Friday to Sunday"
    """
    settings = load_settings()
    sink = ClickHouseSink(settings.clickhouse, TIMEOUT_SECONDS)
    given_up = 0
    with sink.session() as session:
        for _ in range(ROUNDS):
            found = read_cluster_state(settings, sink, session)
            _refuse_unknown(source or [], found)
            plan = plan_lost(
                settings.rules.to_rules().in_topic,
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
            refuse_members(settings)
            _print(plan)
            warn(settings, session, found, plan)
            agree(yes, "Give this up?")
            refuse_members(settings)
            apply_change(session, change_of(plan))
            given_up += len(plan)
    if not given_up:
        data.print("nothing is lost that was not given up before")
        print_lost(found.ledgers)


def _refuse_unknown(asked: list[str], found: ClusterState) -> None:
    known = {str(source) for source in found.ledgers}
    if unknown := set(asked) - known:
        raise PintallyError(f"--source {', '.join(sorted(unknown))}: no such source", "`pintally status` lists all.")


def _print(plan: list[Lost]) -> None:
    for each in plan:
        start = each.start.start if each.start else 0
        kind = each.row.kind if each.row else LostKind.RECOUNTED
        gone = describe(each.row) if each.row else f"{each.source}: its ledger was lost"
        data.print(f"lost: {gone}", markup=False)
        data.print(f"  {THEN[kind].format(start=start)}", markup=False)
