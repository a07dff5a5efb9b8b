"""`pintally replace-topic`: continue counting in another topic, of this cluster or another; the counts stay."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from pintally.cli.confirm import agree
from pintally.cli.console import data, table
from pintally.cli.replace_plans import Asked, make_plans
from pintally.sinks.clickhouse.connection import MAINTENANCE_SECONDS
from pintally.streams.operations.change.cluster_state import refuse_members
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.replace import Plan, carry_out
from pintally.streams.settings import load_settings
from pintally.streams.worker.servers import maintained_sink_of


def replace_topic(
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; may be repeated.")] = None,
    copied: Annotated[
        bool, typer.Option("--copied", help="The new topic is a copy with other offsets; its records are compared.")
    ] = False,
    new_records: Annotated[
        bool, typer.Option("--new-records", help="No record of the new topic was counted before.")
    ] = False,
    from_time: Annotated[
        datetime | None,
        typer.Option(
            help="Records with a Kafka timestamp before this time (UTC) were counted before; later ones were not."
        ),
    ] = None,
    from_offset: Annotated[
        list[str] | None,
        typer.Option(
            help="TOPIC[PARTITION]=OFFSET: the first record that was not counted before; repeat it for each partition."
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="The reason; it is stored in the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and show; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Continue counting in another topic: a copy, or a topic in another cluster.

    Workers refuse a topic if the ledger knows another one under its name, or under its name with another prefix. Use
    this command if the new topic continues the old one. Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the cluster of the new
    topic, and stop all workers, also those in the old cluster.

    Without an option, the new topic must be a copy with the same offsets: all its records are recounted and compared
    with the counts, as `verify` does. A difference is refused. With --copied the offsets may differ: as many records
    as were counted must give the same counts. The other options say where the new records begin. That cannot be
    proved: `verify` lists the hours that may count an event twice.

    The command shows its plan for each partition and asks for confirmation. The table `ingest_replaced` keeps what was
    done; `status`, `rules show` and `verify` list it permanently. If the command is interrupted, run it again.

    Exit codes: 0 done, or nothing to replace; 2 it could not be done, and nothing was changed.

    Example:

        PINTALLY_KAFKA_BOOTSTRAP_SERVERS=new-broker:9092 pintally replace-topic --note "moved to the new cluster"
        pintally replace-topic --new-records
        pintally replace-topic --topic engagement.save.v1 --from-time 2026-01-31T12:00:00Z
    """
    asked = Asked(copied, new_records, from_time, tuple(from_offset or ()), note)
    settings = load_settings(over_shards=True)
    sink = maintained_sink_of(settings.clickhouse, MAINTENANCE_SECONDS)
    refuse_members(settings.kafka, settings.worker)
    with sink.session() as session:
        plans = make_plans(settings, sink, session, asked, topic or [])
        if not plans:
            apply_change(session, Change())  # deletes rows that an interrupted run left superseded
            data.print("nothing to replace: the ledger knows each topic, or no other topic of its action")
            return
        _print(plans)
        if dry_run:
            return
        agree(yes, "Replace these topics?")
        refuse_members(settings.kafka, settings.worker)
        for plan in plans:
            carry_out(session, plan)
    data.print(f"{len(plans)} topics replaced; start the workers")


def _print(plans: Sequence[Plan]) -> None:
    shown = table("Replace", "partition", "replaces UUID", "counted to", "continues at", "ids from", left=2)
    for row in (row for plan in plans for row in plan.rows):
        old = str(row.old.topic_id) if row.old.topic == row.source.topic else f"{row.old.topic} {row.old.topic_id}"
        shown.add_row(str(row.source), old, f"{row.old_end:,}", f"{row.start:,}", f"{row.collect_start:,}")
    data.print(shown)
    for plan in plans:
        data.print(f"{plan.rows[0].source.topic}: {plan.rows[0].evidence}", markup=False)
