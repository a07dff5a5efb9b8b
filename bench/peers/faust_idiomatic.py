"""The counting as a Faust user would write it first: a Record, an agent, a tumbling table in memory with a changelog.

Counts only: no duplicate filter, no lateness rule. Once a second a timer lands the cells that changed.
"""

import sys

import faust

from bench.peers.landing import Landing
from bench.peers.told import Progress, told

to = told()
progress, landing = Progress(to), Landing(to)
changed: dict[tuple[str, int], int] = {}


class Engagement(faust.Record, serializer="json"):
    event_id: str
    action: str
    pin_id: str
    user_id: str
    occurred_at: int
    surface: str | None = None
    platform: str | None = None


app = faust.App(
    to.group,
    broker=f"kafka://{to.kafka}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_partitions=to.partitions,
    web_enabled=False,
)
counts = (
    app.Table("counts", default=int, partitions=to.partitions)
    .tumbling(60.0, expires=7200.0)
    .relative_to(lambda event: event.value.occurred_at / 1000)
)


@app.agent(app.topic(to.topic, value_type=Engagement))
async def count(events: faust.Stream[Engagement]) -> None:
    async for event in events:
        progress.add()
        counts[event.pin_id] += 1
        changed[event.pin_id, event.occurred_at // 60_000] = counts[event.pin_id].value()


@app.timer(1.0)
async def land() -> None:
    landing.land((int(pin), minute * 60, events) for (pin, minute), events in changed.items())
    changed.clear()


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel", "error", "--without-web"]
    app.main()
