"""`pintally migrate`: create the topics and the tables."""

import json
from typing import Annotated

import typer

from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.migrate import migrate as migrate_tables
from pintally.sinks.clickhouse.retention import keep_members
from pintally.sinks.clickhouse.shards import take_place
from pintally.streams.kafka.durability import read_durability
from pintally.streams.kafka.topic_configs import topic_differences
from pintally.streams.kafka.topics import create_topics, describe_topics
from pintally.streams.operations.retention import apply_dead_letter_days
from pintally.streams.settings import load_settings


def migrate(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Create the topics and the tables; safe to run any number of times.

    Existing topics are not changed; the command prints how they differ from the settings, and what may lose records if
    a broker is lost. Missing tables are created; tables of another layout are refused. Each run replaces the views,
    sets the rights of the users that `pintally users` made, and sets how long dead letters are kept, in their table and
    topics (PINTALLY_DEAD_LETTER_DAYS), and how long hashes of users are (PINTALLY_MEMBER_DAYS). If Kafka or ClickHouse
    does not answer, the command ends after some seconds with exit code 75: run it again.

    Example: PINTALLY_PARTITIONS=12 pintally migrate
    """
    settings = load_settings(over_shards=True)
    servers = settings.clickhouse.shards
    created = create_topics(*settings.sources)
    topics = describe_topics(settings.kafka, settings.topics)
    differences = topic_differences(settings.topics, settings.rules, topics)
    weaknesses = read_durability(settings.kafka, topics)
    applied = [(server, step) for server in servers for step in migrate_tables(server)]
    for number, server in enumerate(servers if len(servers) > 1 else ()):
        take_place(server, Place(number, len(servers)))
    kept = apply_dead_letter_days(settings.kafka, servers[0], settings.topics)
    members_kept = True in [keep_members(server, settings.topics.member_days) for server in servers]
    if as_json:
        partitions = {topic.name: topic.partitions for topic in topics.values()}
        report: dict[str, object] = {
            "topics": partitions,
            "created": created,
            "differences": differences,
            "weaknesses": weaknesses,
            "applied": list(dict.fromkeys(step for _, step in applied)),
        }
        report |= {"dead_letter_days": settings.topics.dead_letter_days, "dead_letter_days_set": kept}
        report |= {"member_days": settings.topics.member_days, "member_days_set": members_kept}
        typer.echo(json.dumps(report))
        return
    for topic in topics.values():
        made = "created" if topic.name in created else "found"
        typer.echo(f"topic {topic.name}: {made}, {topic.partitions} partitions, {topic.timestamp_type}")
    for server, step in applied:
        typer.echo(f"ClickHouse {server}: applied {step}")
    for server in servers:
        if server not in [of for of, _ in applied]:
            typer.echo(f"ClickHouse {server}: up to date")
    if kept:
        typer.echo(f"dead letters are kept for {settings.topics.dead_letter_days} days: {', '.join(kept)}")
    if members_kept:
        typer.echo(f"hashes of users are kept for {settings.topics.member_days} days: tables pin_members, arm_members")
    for difference in [*differences, *weaknesses]:
        typer.echo(f"note: {difference}", err=True)
