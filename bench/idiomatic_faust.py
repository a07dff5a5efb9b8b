"""The same counting as a Faust user would write it first: Record models, three agents, three tumbling tables.

Counts only: no duplicate filter, no lateness rule, no sink. It reads the topics from their beginning, one group member,
tables in memory with Faust's changelog topics. After `LIMIT` records it prints one line of JSON and ends:
CPU seconds (user and system, of this process alone) and wall seconds from the first record handled to the last,
peak memory and the sum of what it counted. Start-up, the group's join and table recovery are outside.

It is started by catch_up.py, which names a new group and a file descriptor for the report in the environment.
"""

import json
import os
import resource
import sys
import time
from datetime import timedelta

import faust

KAFKA, PREFIX, PARTITIONS, LIMIT = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Engagement(faust.Record, serializer="json"):
    event_id: str
    action: str
    pin_id: str
    user_id: str
    occurred_at: int
    surface: str | None = None
    platform: str | None = None


app = faust.App(
    f"{PREFIX}idiomatic-{os.environ['BENCH_GROUP']}",
    broker=f"kafka://{KAFKA}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_partitions=PARTITIONS,
    web_enabled=False,
)


def minutes(name: str) -> faust.Table:
    table = app.Table(name, default=int, partitions=PARTITIONS)
    return table.tumbling(60.0, expires=timedelta(hours=2)).relative_to(lambda event: event.value.occurred_at / 1000)


saves, clicks, closeups = minutes("saves"), minutes("clicks"), minutes("closeups")
save_topic = app.topic(f"{PREFIX}engagement.save.v1", value_type=Engagement)
click_topic = app.topic(f"{PREFIX}engagement.click.v1", value_type=Engagement)
closeup_topic = app.topic(f"{PREFIX}engagement.closeup.v1", value_type=Engagement)


@app.agent(save_topic)
async def count_saves(events: faust.Stream[Engagement]) -> None:
    async for event in events:
        saves[event.pin_id] += 1
        one_more()


@app.agent(click_topic)
async def count_clicks(events: faust.Stream[Engagement]) -> None:
    async for event in events:
        clicks[event.pin_id] += 1
        one_more()


@app.agent(closeup_topic)
async def count_closeups(events: faust.Stream[Engagement]) -> None:
    async for event in events:
        closeups[event.pin_id] += 1
        one_more()


handled = 0
began: tuple[float, float] = (0.0, 0.0)


def one_more() -> None:
    """The measurement: all else in this file is the app."""
    global handled, began
    if not handled:
        began = time.process_time(), time.monotonic()
    handled += 1
    if handled == LIMIT:
        cpu, seconds = time.process_time() - began[0], time.monotonic() - began[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        report = {"events": handled - 1, "cpu_seconds": cpu, "seconds": seconds, "peak_bytes": peak}
        os.write(int(os.environ["BENCH_REPORT_FD"]), json.dumps(report).encode())
        os._exit(0)


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel", "error", "--without-web"]
    app.main()
