"""Where the audit looks: its addresses, which it reads from no settings of ours."""

from typing import Any

from pintally.audit.addresses import Addresses
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.schemas.errors import PintallyError, Unavailable
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.protocol import wrong_protocol
from pintally.streams.settings import KafkaSettings, Settings


def addresses_of(settings: Settings) -> Addresses:
    """Where the audit looks, by the settings."""
    return Addresses(
        kafka=settings.kafka.bootstrap_servers,
        topics=tuple((topic, int(action)) for topic, action in settings.topics.actions.items()),
        clickhouse_host=settings.clickhouse.host,
        clickhouse_http_port=settings.clickhouse.http_port,
        user=settings.clickhouse.user,
        password=settings.clickhouse.password.get_secret_value(),
        database=settings.clickhouse.database,
        secure=settings.clickhouse.secure,
        ca_file=settings.clickhouse.ca_file,
        shards=_shards(settings),
        replicas=bool(settings.clickhouse.cluster),
        user_keys=tuple(key.octets for key in settings.rules.keys),
        kafka_options=_kafka_options(settings.kafka),
    )


def _shards(settings: Settings) -> tuple[tuple[str, int, str], ...]:
    shards = settings.clickhouse.shards
    return tuple((shard.host, shard.http_port, shard.database) for shard in shards) if len(shards) > 1 else ()


def as_ours(reason: CannotTell, kafka: KafkaSettings) -> PintallyError:
    """Why the audit has no verdict, as an error of ours: what passes by itself is Unavailable.

    The audit's client hears a hang-up alone where a port of Kafka speaks another protocol.
    """
    if isinstance(reason, CannotTellNow):
        return wrong_protocol(kafka) or Unavailable(reason.what, reason.remedy)
    return PintallyError(reason.what, reason.remedy)


def _kafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """As the audit passes them on; what does not fit together is refused here."""
    login = kafka_options(kafka)
    return {
        "security_protocol": kafka.security_protocol,
        "ssl_cafile": kafka.ca_file,
        "ssl_certfile": kafka.cert_file,
        "ssl_keyfile": kafka.key_file,
        **{name: value for name, value in login.items() if name.startswith("sasl_")},
    }
