"""Bytewax: the Kafka source to its end, tumbling windows of a minute of event time, a sink; no recovery store."""

import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from bench.peers.landing import Landing
from bench.peers.told import Progress, told

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

to = told()
progress = Progress(to)

Closed = tuple[str, tuple[int, int]]  # pin, (number of the minute since 1970, count)


class Engagement(msgspec.Struct):
    pin_id: str
    occurred_at: int


decode = msgspec.json.Decoder(Engagement).decode


def parse(message: KafkaSourceMessage[bytes, bytes]) -> Engagement:
    progress.add()
    return decode(message.value)


class Land(StatelessSinkPartition[Closed]):
    """Lands once a second, and at the end."""

    def __init__(self) -> None:
        self._landing = Landing(to)
        self._rows: list[tuple[int, int, int]] = []
        self._due = time.monotonic() + 1

    def write_batch(self, items: list[Closed]) -> None:
        self._rows += [(int(pin), minute * 60, events) for pin, (minute, events) in items]
        if time.monotonic() >= self._due:
            self.close()

    def close(self) -> None:
        self._landing.land(self._rows)
        self._rows.clear()
        self._due = time.monotonic() + 1


class Lands(DynamicSink[Closed]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Land:
        return Land()


def flow() -> Dataflow:
    graph = Dataflow("counts")
    messages = op.input("kafka", graph, KafkaSource([to.kafka], [to.topic], tail=False, batch_size=1000))
    events = op.map("parse", messages, parse)
    keyed = op.key_on("pin", events, lambda event: event.pin_id)
    clock = EventClock(
        ts_getter=lambda event: datetime.fromtimestamp(event.occurred_at / 1000, UTC),
        wait_for_system_duration=timedelta(seconds=5),
    )
    windows = windowing.fold_window(
        "minute",
        keyed,
        clock,
        TumblingWindower(align_to=EPOCH, length=MINUTE),
        builder=int,
        folder=lambda count, event: count + 1,
        merger=int.__add__,
        ordered=False,
    )
    op.output("land", windows.down, Lands())
    return graph


if __name__ == "__main__":
    cli_main(flow())
    threading.Event().wait()  # the benchmark reads our clocks, then ends us
