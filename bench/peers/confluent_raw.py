"""Ceiling of the C client: confluent-kafka's consume, nothing done with the messages."""

from bench.peers.confluent import subscribed
from bench.peers.told import Progress, told


def main() -> None:
    to = told()
    progress = Progress(to)
    consumer = subscribed(to)
    while True:
        messages = consumer.consume(5000, 0.1)
        if messages:
            progress.add(len(messages))


if __name__ == "__main__":
    main()
