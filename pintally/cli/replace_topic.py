"""`pintally replace-topic`: a topic takes another's place, in another cluster or this one, and the counts stay."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from pintally.cli.confirm import agree
from pintally.cli.console import data, table
from pintally.cli.replace_plans import Asked, make_plans
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.change.cluster_state import refuse_members
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.replace import Plan, carry_out
from pintally.streams.settings import load_settings

TIMEOUT_SECONDS = 600.0  # deleting rows, and sums over all cells, may take minutes


def replace_topic(
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; may be repeated.")] = None,
    copied: Annotated[
        bool, typer.Option("--copied", help="It is a copy with other offsets; its records are compared.")
    ] = False,
    new_records: Annotated[bool, typer.Option("--new-records", help="All that it holds was never counted.")] = False,
    from_time: Annotated[
        datetime | None,
        typer.Option(help="Records with this Kafka timestamp or a later one were never counted, earlier ones were."),
    ] = None,
    from_offset: Annotated[
        list[str] | None,
        typer.Option(help="TOPIC[PARTITION]=OFFSET: the first record that was never counted; repeat for each."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and show, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Say that a topic takes another's place: a copy, or another cluster.

    For topics that workers refuse because the ledger knows others under their names (or under the names with another
    prefix). Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the cluster that has the new ones, and stop all workers, also those
    on the old ones.

    Without an option the new topic is taken for a copy with the same offsets: all that it still holds is recounted,
    and compared with every count, as `verify` does; any difference is refused. With --copied the offsets may differ: as
    many records as were counted must make the same counts. The other options say from where on the records are new,
    which nothing can prove: `verify` names the hours that may hold an event twice.

    It shows what it will do, partition by partition, and asks. What was said stays in the table `ingest_replaced`;
    `status`, `rules show` and `verify` name it for ever. If it is interrupted, run it again.

    Exit codes: 0 done, or nothing to replace; 2 it could not be done, and nothing was changed.

    Example:

        PINTALLY_KAFKA_BOOTSTRAP_SERVERS=new-broker:9092 pintally replace-topic --note "moved to the new cluster"
        pintally replace-topic --new-records
        pintally replace-topic --topic engagement.save.v1 --from-time 2026-01-31T12:00:00Z
    """
    asked = Asked(copied, new_records, from_time, tuple(from_offset or ()), note)
    settings = load_settings()
    sink = ClickHouseSink(settings.clickhouse, TIMEOUT_SECONDS)
    refuse_members(settings)
    with sink.session() as session:
        plans = make_plans(settings, sink, session, asked, topic or [])
        if not plans:
            apply_change(session, Change())  # what an interrupted one has left superseded
            data.print("nothing to replace: every topic is known to the ledger, or no other one of its kind is")
            return
        _print(plans)
        if dry_run:
            return
        agree(yes, "Let them take the place?")
        refuse_members(settings)
        for plan in plans:
            carry_out(session, plan)
    data.print(f"{len(plans)} topics took the place of others; start the workers")


def _print(plans: Sequence[Plan]) -> None:
    shown = table("Replace", "partition", "in the place of UUID", "counted to", "goes on at", "ids from", left=2)
    for row in (row for plan in plans for row in plan.rows):
        old = str(row.old.topic_id) if row.old.topic == row.source.topic else f"{row.old.topic} {row.old.topic_id}"
        shown.add_row(str(row.source), old, f"{row.old_end:,}", f"{row.start:,}", f"{row.collect_start:,}")
    data.print(shown)
    for plan in plans:
        data.print(f"{plan.rows[0].source.topic}: {plan.rows[0].evidence}", markup=False)
