"""What Kafka's silence and Kafka's no mean to us."""

from pintally.schemas.errors import KafkaRefused, KafkaUnavailable


def unavailable(kafka: str, reason: Exception) -> KafkaUnavailable:
    """Nobody answers at these servers."""
    return KafkaUnavailable(
        f"Kafka does not answer at {kafka} ({reason})",
        "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the host:port of a running Kafka and PINTALLY_KAFKA_SECURITY_PROTOCOL "
        "to what it speaks there, or start the local engines with `pintally up`.",
    )


def wrong_protocol(server: str, asked: str, speaks: str) -> KafkaRefused:
    """What answers there is no Kafka, or Kafka with TLS where none was asked for, or the reverse."""
    if speaks == "TLS":
        protocol = "SASL_SSL" if asked.startswith("SASL") else "SSL"
        remedy = (
            f"Set PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol}, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the port "
            "without TLS."
        )
    elif "without TLS" in speaks:
        protocol = "SASL_PLAINTEXT" if asked.startswith("SASL") else "PLAINTEXT"
        remedy = (
            f"Set PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol}, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the port "
            "with TLS."
        )
    else:
        remedy = "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the host:port at which Kafka's clients connect."
    return KafkaRefused(
        f"{server} does not speak Kafka's protocol by {asked}: it speaks {speaks}, wrong protocol or wrong port", remedy
    )
