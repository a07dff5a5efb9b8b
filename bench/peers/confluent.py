"""The consumer of the peers on confluent-kafka."""

from confluent_kafka import Consumer

from bench.peers.told import Told


def subscribed(to: Told) -> Consumer:
    """A consumer of the whole topic, from its start; it commits only when it is told to."""
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
    return consumer
