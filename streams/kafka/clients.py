"""How every Kafka client of ours connects: one function for the options that aiokafka and kafka-python share.

Whoever makes a client passes it `**kafka_options(kafka)`; `tests/kafka/test_kafka_clients.py` finds who does not.
"""

import ssl
from typing import Any

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import KafkaSettings


class LoginIncomplete(PintallyError):
    """The settings of the login to Kafka do not fit together, or a file they name cannot be used."""


def kafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Bootstrap servers, protocol, certificates and login, as keyword arguments of any Kafka client.

    Holds the password: never log or print it. Raises LoginIncomplete.
    """
    protocol = kafka.security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = _tls(kafka)
    if _has_login(kafka):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.username
        options["sasl_plain_password"] = kafka.password.get_secret_value()
    return options


def options_alone(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments of an aiokafka consumer that reads what is committed, in no group, and commits nothing.

    Its partitions are assigned by hand, and it says so when a position is gone. Raises LoginIncomplete.
    """
    return {
        **kafka_options(kafka),
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
    }


def _tls(kafka: KafkaSettings) -> ssl.SSLContext:
    """Checks the broker's certificate and its host name; shows ours where one is set."""
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable("PINTALLY_KAFKA_CA_FILE", kafka.ca_file, "certificates", error) from error
    if kafka.cert_file:
        try:
            context.load_cert_chain(kafka.cert_file, kafka.key_file, password=_no_password)
        except (OSError, ValueError) as error:
            files = f"{kafka.cert_file}, PINTALLY_KAFKA_KEY_FILE={kafka.key_file or ''}"
            raise _unusable(
                "PINTALLY_KAFKA_CERT_FILE", files, "a certificate and its unencrypted key", error
            ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # else OpenSSL would ask the terminal


def _unusable(name: str, value: str | None, wanted: str, error: Exception) -> LoginIncomplete:
    return LoginIncomplete(f"{name}={value} cannot be used: {error}", f"Name a file in PEM format with {wanted}.")


def _has_login(kafka: KafkaSettings) -> bool:
    protocol, user = kafka.security_protocol, kafka.username
    password = kafka.password.get_secret_value()
    if protocol.startswith("SASL") and not (user and password):
        raise LoginIncomplete(
            f"PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol} needs a user and a password",
            "Set PINTALLY_KAFKA_USERNAME and PINTALLY_KAFKA_PASSWORD.",
        )
    if (user or password) and not protocol.startswith("SASL"):
        raise LoginIncomplete(
            f"a Kafka user or password is set, but PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol} has no login",
            "Set it to SASL_SSL (or SASL_PLAINTEXT), or unset PINTALLY_KAFKA_USERNAME and PINTALLY_KAFKA_PASSWORD.",
        )
    return bool(user)
