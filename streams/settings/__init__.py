"""Settings: `PINTALLY_*` variables, else what `pintally up` wrote beside the local engines, else the defaults."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.streams.settings.addresses import host_of, servers_of
from pintally.streams.settings.errors import explained
from pintally.streams.settings.service_links import EnvironmentWithoutLinks, link_warnings
from pintally.streams.settings.warnings import warnings_of

PREFIX = "PINTALLY_"
LOCAL_DIR = Path(".pintally")  # data, logs and addresses of the local engines
LOCAL_ENV = LOCAL_DIR / "engines.env"  # written by `pintally up`

# Compose files and charts set a variable to nothing where they mean that it is not set.
Optional = Annotated[str | None, BeforeValidator(lambda text: text or None)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class Settings(BaseSettings):
    """One field a `PINTALLY_` variable, e.g. `kafka` is `PINTALLY_KAFKA`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=LOCAL_ENV, extra="ignore", frozen=True)

    kafka: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port, separated by commas.")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="TLS to Kafka (SSL), a login (SASL_PLAINTEXT), or both (SASL_SSL)."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in to Kafka."
    )
    kafka_username: Optional = Field(None, description="Kafka user.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Kafka password.")
    kafka_ca_file: Optional = Field(
        None, description="Whom to trust for Kafka's certificate, PEM; the system's authorities if not set."
    )
    kafka_cert_file: Optional = Field(None, description="Our certificate for Kafka, PEM, where it asks for one.")
    kafka_key_file: Optional = Field(None, description="Its key, PEM, not encrypted.")
    clickhouse_host: str = Field("127.0.0.1", description="ClickHouse host.")
    clickhouse_port: Port = Field(9000, description="ClickHouse native port.")
    clickhouse_http_port: Port = Field(8123, description="ClickHouse HTTP port, read by `verify`.")
    clickhouse_user: Name = Field("default", description="ClickHouse user.")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="ClickHouse password.")
    clickhouse_database: Name = Field("pintally", description="ClickHouse database.")
    clickhouse_secure: bool = Field(False, description="TLS to ClickHouse, on both ports.")
    clickhouse_ca_file: Optional = Field(
        None, description="Whom to trust for ClickHouse's certificate, PEM; the system's authorities if not set."
    )

    topic_prefix: str = Field("", description="Put before every topic's name.")
    partitions: int = Field(4, ge=1, description="Partitions of topics that `migrate` creates.")
    replication: int = Field(1, ge=1, description="Replicas of topics that `migrate` creates.")
    topic_timestamps: Literal["LogAppendTime", "CreateTime"] = Field(
        "LogAppendTime", description="Whose clock stamps records in topics that `migrate` creates."
    )

    group: Name = Field("pintally", description="Kafka consumer group; also the Faust app's id.")
    instance: Optional = Field(None, description="Static group member name, one a worker; makes restarts short.")
    session_timeout_seconds: Seconds = Field(10.0, description="Silence after which Kafka gives a worker up.")
    flush_interval_seconds: Seconds = Field(1.0, description="Time between flushes near the head of the log.")
    max_pending_cells: int = Field(5_000_000, ge=1, description="Cells kept while ClickHouse is down, then pause.")
    seal_seconds: Seconds = Field(30.0, description="Time between looks for hours that can be sealed.")
    idle_margin_seconds: int = Field(300, ge=0, description="How far a caught-up idle source's clock stays behind.")
    web_port: Port | None = Field(None, description="Port of Faust's web views, on loopback; none if not set.")

    allowed_lateness_seconds: int = Field(3600, ge=0, description="How long after its end a minute still counts.")
    max_clock_skew_seconds: int = Field(300, ge=0, description="How far event time may lead the Kafka timestamp.")
    retention_days: int = Field(
        90, ge=1, le=90, description="Events older than this are invalid; at most the 90 days that the tables keep."
    )
    dead_letter_days: int = Field(
        14, ge=1, le=90, description="Dead letters are deleted so long after; applied by `migrate`."
    )
    slice_records: int = Field(250_000, ge=1, description="Offsets a block; may be lowered, never raised.")
    dedup: bool = Field(True, description="Drop records whose event_id was seen in this or the previous slice.")

    _servers = field_validator("kafka")(staticmethod(servers_of))
    _host = field_validator("clickhouse_host")(staticmethod(host_of))

    @property
    def clickhouse(self) -> ClickHouseAddress:
        """Where ClickHouse is."""
        return ClickHouseAddress(
            host=self.clickhouse_host,
            port=self.clickhouse_port,
            http_port=self.clickhouse_http_port,
            user=self.clickhouse_user,
            password=self.clickhouse_password.get_secret_value(),
            database=self.clickhouse_database,
            secure=self.clickhouse_secure,
            ca_file=self.clickhouse_ca_file,
        )

    @property
    def rules(self) -> Rules:
        """The counting rules these settings ask for, in the topics that producers write to."""
        return Rules(
            allowed_lateness_ms=self.allowed_lateness_seconds * 1000,
            max_clock_skew_ms=self.max_clock_skew_seconds * 1000,
            retention_ms=self.retention_days * 86_400_000,
            slice_records=self.slice_records,
            dedup=self.dedup,
        )

    @property
    def topics(self) -> dict[Action, str]:
        """The topic of each action, which producers write to."""
        return {action: action.topic(self.topic_prefix) for action in Action}

    @property
    def replay_topics(self) -> dict[Action, str]:
        """The topic of each action that `pintally dlq replay` writes to."""
        return {action: replay_topic(topic) for action, topic in self.topics.items()}

    @property
    def source_topics(self) -> dict[str, Action]:
        """Every topic that is counted, and the action it carries."""
        return {topic: action for topics in (self.topics, self.replay_topics) for action, topic in topics.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then what `pintally up` wrote."""
        return init_settings, EnvironmentWithoutLinks(settings_cls), dotenv_settings

    def environment(self) -> dict[str, str]:
        """The environment of a child process with these settings and no others. Holds the passwords in the clear."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        ours = {
            f"{PREFIX}{name.upper()}": str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in self.model_dump().items()
            if value is not None
        }
        return inherited | ours

    def rules_of(self, topic: str) -> Rules:
        """The counting rules these settings ask for in a topic: in a replay topic nothing is late."""
        return self.rules.never_late if topic in self.replay_topics.values() else self.rules


def load_settings() -> Settings:
    """Read the settings; what is probably not meant is said on stderr.

    Raises PintallyError naming the variable, its value (but no password) and what it may be.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise explained(error, PREFIX, Settings.model_fields) from None  # its text holds what was given, passwords too
    given = {name.upper(): value for name, value in os.environ.items()}
    values = settings.model_dump()
    for warning in (*link_warnings(given, values, PREFIX), *warnings_of(given, values, PREFIX)):
        print(f"warning: {warning}", file=sys.stderr)
    return settings
