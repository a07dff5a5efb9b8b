"""Quix Streams: a tumbling window of a minute, counted, final() results, state in RocksDB with its changelog topic."""

import sys
from datetime import timedelta

from quixstreams import Application
from quixstreams.models import TopicConfig
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.peers.landing import Landing
from bench.peers.told import Progress, told

to = told()
progress = Progress(to)


class Land(BatchingSink):
    """Writes at every checkpoint, as its documentation recommends."""

    def __init__(self) -> None:
        super().__init__()
        self._landing = Landing(to)

    def write(self, batch: SinkBatch) -> None:
        self._landing.land((int(item.key), item.value["start"] // 1000, item.value["value"]) for item in batch)


def main() -> None:
    app = Application(
        broker_address=to.kafka,
        consumer_group=to.group,
        auto_offset_reset="earliest",
        state_dir="state",
        processing_guarantee="exactly-once" if "--exactly-once" in sys.argv else "at-least-once",
        loglevel="WARNING",
    )
    topic = app.topic(
        to.topic,
        key_deserializer="str",
        value_deserializer="json",
        timestamp_extractor=lambda value, headers, timestamp, timestamp_type: value["occurred_at"],
        config=TopicConfig(num_partitions=to.partitions, replication_factor=1),
    )

    def handled(event: object) -> object:
        progress.add()
        return event

    events = app.dataframe(topic).apply(handled)
    counts = events.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(seconds=5)).count()
    counts.final(closing_strategy="partition").sink(Land())
    app.run()


if __name__ == "__main__":
    main()
