"""Ceiling of the C client: confluent-kafka's consume, nothing done with the messages."""

from confluent_kafka import Consumer

from bench.peers.told import Progress, told


def main() -> None:
    to = told()
    progress = Progress(to)
    consumer = Consumer(
        {
            "bootstrap.servers": to.kafka,
            "group.id": to.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 2,  # its default of 1000 starves a fast consumer
        }
    )
    consumer.subscribe([to.topic])
    while True:
        messages = consumer.consume(5000, 0.1)
        if messages:
            progress.add(len(messages))


if __name__ == "__main__":
    main()
