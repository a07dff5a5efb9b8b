"""`pintally emulate`: realistic events, with the counts that they must give."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pintally.cli.console import progress_bar
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import MINUTE_MS
from pintally.streams.counting.log import TopicInfo
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.settings import Settings, load_settings
from pintally.tools.emulate.plan import Plan, PlanRefused
from pintally.tools.emulate.producer import Target, emulate_into
from pintally.tools.emulate.traffic import Traffic
from pintally.tools.emulate.truth import MOST_PINS, Truth

MEANING = {
    Outcome.COUNTED: "on time, must be counted",
    Outcome.DUPLICATE: "sent twice, must not be counted again",
    Outcome.LATE: "later than allowed, must become dead letters",
    Outcome.INVALID: "not valid events, must become dead letters",
}


def emulate(
    events: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many records to send, of all outcomes together.",
            show_default="100000; with --rate: until stopped",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Records a second, with event times of now.", show_default="the last --span minutes at once"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same users, pins and order.")] = 1,
    span: Annotated[float, typer.Option(help="Without --rate: minutes of event time, ending now.")] = 30,
    duplicates: Annotated[float, typer.Option(help="Share of records that a producer sends a second time.")] = 0.01,
    late: Annotated[float, typer.Option(help="Share of records later than the allowed lateness.")] = 0.002,
    broken: Annotated[float, typer.Option(help="Share of records that are not valid events.")] = 0.001,
    bots: Annotated[
        float, typer.Option(help="Share of records from bots: half of them hammer one pin, half roam.")
    ] = 0.005,
    effect: Annotated[
        float, typer.Option(help="By this share, users in the arm treatment of the experiment ranker_q4 save more.")
    ] = 0.0,
    pins: Annotated[
        int, typer.Option(min=1, max=MOST_PINS, help="Number of pins; a few of them are popular.")
    ] = 100_000,
    truth: Annotated[Path | None, typer.Option(help="Write the expected counts to this file, as JSON Lines.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Produce realistic events, with duplicates, late and invalid records.

    The events are sessions of close-ups, clicks and saves on a few popular pins and many rare ones, and are sent out
    of order. Some are of bots. The outcome of each record is known before it is sent; `--truth` writes the expected
    counts, by surface and platform, how many of them are trusted, and those of each arm; with PINTALLY_COUNT_USERS also
    how many users each pin has in an hour. A quarter of the users is in the experiment `ranker_q4`; `--effect` says how
    much it changes. Ctrl-C ends the command cleanly.

    Example: pintally emulate --rate 2000
    """
    settings = load_settings(over_shards=True)  # it asks none
    if events is None and rate is None:
        events = 100_000
    topics = describe_topics(settings.kafka, settings.topics)
    keeps_times = all(topics[name].timestamp_type == "CreateTime" for name in settings.topics.names.values())
    plan = Plan(events, rate, seed, int(span * MINUTE_MS), pins, duplicates, late, broken, bots, effect, keeps_times)
    refuse_topics(plan, topics)
    began = time.monotonic()
    try:
        sent, stopped = run(settings, plan, topics, quiet=as_json)
        if truth is not None:
            sent.write(truth)
        print_sent(sent, time.monotonic() - began, as_json, truth)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if stopped and plan.events is not None:
        raise typer.Exit(130)


def refuse_topics(plan: Plan, topics: dict[str, TopicInfo]) -> None:
    """Raise PlanRefused if Kafka would refuse the timestamps of the plan."""
    for topic in topics.values():
        oldest = 0 if plan.live else plan.span_ms
        if topic.timestamp_type == "CreateTime" and topic.timestamp_before_max_ms < oldest + MINUTE_MS:
            raise PlanRefused(
                f"{topic.name} refuses records older than {topic.timestamp_before_max_ms} ms "
                "(message.timestamp.before.max.ms)",
                "Choose a shorter --span, or use --rate.",
            )


def run(settings: Settings, plan: Plan, topics: dict[str, TopicInfo], quiet: bool) -> tuple[Truth, bool]:
    """Send the events, with a progress bar on stderr. Returns what was sent, and whether a signal ended it early."""
    traffic = Traffic(plan, settings.rules.to_rules(), int(time.time() * 1000))
    with progress_bar("emulating", quiet=quiet) as bar:
        task = bar.add_task("", total=plan.events)
        target = Target.of(settings.kafka, settings.topics, topics, settings.rules.framed)
        return asyncio.run(_until_stopped(target, traffic, lambda sent: bar.update(task, completed=sent.records)))


async def _until_stopped(target: Target, traffic: Traffic, progress: Callable[[Truth], None]) -> tuple[Truth, bool]:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C ends it at once

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    sent = await emulate_into(target, traffic, stopping, progress)
    # Who tells it to stop now has come late: all is sent, and the truth about it is still to be written.
    loop.remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return sent, stopping.is_set()


def print_sent(sent: Truth, seconds: float, as_json: bool, path: Path | None) -> None:
    """Print the number of records by outcome."""
    totals = sent.totals()
    if as_json:
        report = {"records": sent.records, "seconds": round(seconds, 3), "truth": path and str(path)}
        typer.echo(json.dumps(report | {outcome.name.lower(): totals[outcome] for outcome in reversed(Outcome)}))
        return
    typer.echo(f"{sent.records:,} records in {seconds:.1f} s ({sent.records / seconds:,.0f} a second)")
    for outcome in reversed(Outcome):
        typer.echo(f"  {totals[outcome]:>12,} {outcome.name.lower():<10} {MEANING[outcome]}")
    if path is not None:
        typer.echo(f"Expected counts: {path}")
