"""Ceiling of Python on confluent-kafka: consume, msgspec, a dict, ClickHouse, a commit. No recovery is built."""

import gc
import sys
import time

import msgspec

from bench.peers.confluent import subscribed
from bench.peers.landing import Counts, Landing
from bench.peers.told import Progress, told


class Engagement(msgspec.Struct):
    pin_id: str
    occurred_at: int


def main() -> None:
    to = told()
    progress, counts = Progress(to), Counts(Landing(to))
    consumer = subscribed(to)
    decode = msgspec.json.Decoder(Engagement).decode
    fresh = counts.fresh
    due = time.monotonic() + 1
    while True:
        messages = consumer.consume(5000, 0.1)
        if messages:
            progress.add(len(messages))
        for message in messages:
            event = decode(message.value())
            fresh[event.pin_id, event.occurred_at // 60_000] += 1
        if time.monotonic() >= due:
            if fresh:
                counts.flush()
                consumer.commit()
            due = time.monotonic() + 1


if __name__ == "__main__":
    if "--gc-off" in sys.argv:
        gc.disable()
    main()
