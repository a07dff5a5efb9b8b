"""Kafka logins as Faust takes them."""

from faust.auth import SASLCredentials, SSLCredentials

from pintally.streams.kafka.clients import kafka_options
from pintally.streams.settings import KafkaSettings


def faust_credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    """The same for `broker_credentials` of a Faust app; None without TLS and login. Raises LoginIncomplete."""
    options = kafka_options(kafka)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
