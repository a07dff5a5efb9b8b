"""The settings in groups; each field is a variable, as `KafkaSettings.group_id` PINTALLY_KAFKA_GROUP_ID."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pintally.schemas.actions import REPLAY, Action, kind_of, replay_topic
from pintally.schemas.experiments import names_of
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEY, UserKeys
from pintally.sinks.clickhouse.address import ClickHouseAddress, Name, Optional, Port
from pintally.streams.settings.addresses import host_of, servers_of
from pintally.streams.settings.experiments import experiments_of
from pintally.streams.settings.labels import labels_of
from pintally.streams.settings.other_shards import Named, place_of, shards_of
from pintally.streams.settings.user_key import checked_user_key
from pintally.streams.settings.variables import LOCAL_ENV, PREFIX, EnvironmentWithoutLinks

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Group(BaseSettings):
    """Read from arguments, else from `PINTALLY_*` variables, else from what `pintally up` wrote, else the defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=LOCAL_ENV, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In this order, the first that has a value wins."""
        return init_settings, EnvironmentWithoutLinks(settings_cls), dotenv_settings


class KafkaSettings(Group):
    """Where Kafka is, how to log in there, and who we are in the consumer group."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}KAFKA_")

    bootstrap_servers: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port, separated by commas.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="TLS to Kafka (SSL), a login (SASL_PLAINTEXT), or both (SASL_SSL)."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in to Kafka."
    )
    username: Optional = Field(None, description="Kafka user.")
    password: SecretStr = Field(SecretStr(""), description="Kafka password.")
    ca_file: Optional = Field(
        None, description="CA certificates that verify Kafka's certificate, PEM; the system's if not set."
    )
    cert_file: Optional = Field(None, description="Client certificate, PEM, if Kafka requires one.")
    key_file: Optional = Field(None, description="Private key of the client certificate, PEM, not encrypted.")
    group_id: Name = Field("pintally", description="`group.id` of the workers; also the Faust app's id.")
    group_instance_id: Optional = Field(
        None, description="`group.instance.id` (static membership), different for each worker; makes restarts short."
    )

    _servers = field_validator("bootstrap_servers")(staticmethod(servers_of))

    def __str__(self) -> str:
        return self.bootstrap_servers


class ClickHouseSettings(Group, ClickHouseAddress):
    """Where ClickHouse is, and who we are there."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}CLICKHOUSE_")

    other_shards: str = Field(
        "",
        description="The other shards in their order, separated by commas: host:port:http_port, or "
        "host:port:http_port/database. Shard 0 is `PINTALLY_CLICKHOUSE_HOST`; what is left out is as there. "
        "`PINTALLY_SHARDS` is how many there are.",
    )

    _host = field_validator("host")(staticmethod(host_of))
    _other_shards = field_validator("other_shards")(staticmethod(shards_of))

    @property
    def shards(self) -> tuple[ClickHouseAddress, ...]:
        """Where all shards are, shard 0 first; with one shard this address alone."""
        if not self.other_shards:
            return (self,)
        first = Named(self.host, self.port, self.http_port, self.database)
        places = [first, *(place_of(text, first) for text in self.other_shards.split(","))]
        common = {name: getattr(self, name) for name in ClickHouseAddress.model_fields}
        return tuple(ClickHouseAddress(**common | place._asdict()) for place in places)


class TopicSettings(Group):
    """The topics' names, and how `migrate` makes them."""

    topic_prefix: str = Field("", description="Prefix of every topic's name.")
    partitions: int = Field(4, ge=1, description="Partitions of topics that `migrate` creates.")
    replication: int = Field(
        1,
        ge=1,
        description="Replicas of topics that `migrate` creates, from 3 on with `min.insync.replicas=2`: then any one "
        "broker may be lost. Set it to 3 if there are three brokers or more.",
    )
    topic_timestamps: Literal["LogAppendTime", "CreateTime"] = Field(
        "LogAppendTime", description="`message.timestamp.type` of topics that `migrate` creates."
    )
    dead_letter_days: int = Field(
        14, ge=1, le=90, description="Dead letters are deleted after this number of days; applied by `migrate`."
    )
    member_days: int = Field(
        7,
        ge=3,
        le=90,
        description="Hashes of users (rule C31) are deleted this number of days after the hour; applied by `migrate`.",
    )

    @property
    def names(self) -> dict[Action, str]:
        """The topic of each action, which producers write to."""
        return {action: action.topic(self.topic_prefix) for action in Action}

    @property
    def replay_names(self) -> dict[Action, str]:
        """The topic of each action that `pintally dlq replay` writes to."""
        return {action: replay_topic(name) for action, name in self.names.items()}

    @property
    def actions(self) -> dict[str, Action]:
        """Every topic that is counted, and the action it carries."""
        return {name: action for names in (self.names, self.replay_names) for action, name in names.items()}


class WorkerSettings(Group):
    """How a worker counts, whatever it counts."""

    session_timeout_seconds: Seconds = Field(
        10.0, description="Consumer session timeout: a worker without a heartbeat for this time loses its partitions."
    )
    flush_interval_seconds: Seconds = Field(1.0, description="Time between flushes near the head of the log.")
    max_pending_cells: int = Field(5_000_000, ge=1, description="Reading pauses when this many cells are pending.")
    seal_seconds: Seconds = Field(30.0, description="Time between two searches for hours that can be sealed.")
    idle_margin_seconds: int = Field(
        300,
        ge=0,
        description="Idleness margin (Flink: `withIdleness`): how far the stream time of a source that gets no records "
        "stays behind the clock.",
    )
    least_users: int = Field(
        20, ge=1, description="Readers see the users of a pin, hour or day where they are at least so many (rule C31)."
    )
    flagged_above: int = Field(
        20,
        ge=0,
        description="A user with more counted events of all pins in an hour is flagged (rule C37); 0: nobody is.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Lines of the log: sentences, or one JSON object each, with fields by name."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address that a worker serves metrics and health checks on. They have no login."
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of those; 0 for any that is free.")
    web_port: Port | None = Field(None, description="Port of Faust's web views, on loopback; none if not set.")


class ServeSettings(Group):
    """Where `pintally serve` listens, and what it asks beside Kafka and ClickHouse."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}SERVE_")

    host: str = Field("127.0.0.1", description="Address that `pintally serve` listens on. It has no login.")
    port: int = Field(9465, ge=0, le=65535, description="Port of the page and of its metrics; 0 for any that is free.")
    workers: str = Field(
        "",
        description="Metrics of workers that the page shows, host:port, separated by commas; a name stands for all its "
        "addresses. If not set, those of the workers that run in this folder.",
    )
    verified: Optional = Field(None, description="Files that `pintally verify --metrics` writes, with commas.")


class RulesSettings(Group):
    """The counting rules, in the units in which people think of them."""

    allowed_lateness_seconds: int = Field(3600, ge=0, description="How long after its end a minute still counts.")
    max_clock_skew_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="How far event time may be ahead of the Kafka timestamp; at most a day.",
    )
    retention_days: int = Field(
        90,
        ge=1,
        le=90,
        description="Events older than this at their Kafka timestamp are invalid; at most the 90 days of the tables.",
    )
    slice_records: int = Field(250_000, ge=1, description="Offsets per slice; may be lowered, never raised.")
    dedup: bool = Field(True, description="Do not count an event_id again that was seen shortly before (rule C2).")
    breakdown: bool = Field(True, description="Count by surface and platform too (rule C29).")
    trusted_cap: int = Field(
        5,
        ge=0,
        le=1_000_000_000,
        description="Of one user, pin and action at most so many events of a slice are trusted (rule C30); 0: all are.",
    )
    experiments: str = Field(
        "",
        description="Experiments whose arms are counted, for instance `checkout,feed` (rule C32); `*` counts all.",
    )
    framed_topics: str = Field(
        "",
        description="Actions whose topics a schema registry frames, for instance `save,click`: 5 bytes stand before "
        "the JSON of each value (rule E12). All other topics hold plain JSON.",
    )

    shards: int = Field(
        1, ge=1, le=1024, description="Servers of ClickHouse that share the pins; each has the counts of its own pins."
    )
    count_users: bool = Field(
        False, description="Count the users of each pin too (rule C31). It needs `PINTALLY_USER_KEY`."
    )
    user_key: SecretStr = Field(
        SecretStr(""),
        validate_default=True,
        description="Secret key of the hash of users, 32 hexadecimal digits (`openssl rand -hex 16`). To change it, "
        "put the new key and a comma before it: earlier keys are needed to verify and repair what they counted.",
    )

    _labels = field_validator("framed_topics")(staticmethod(labels_of))
    _experiments = field_validator("experiments")(staticmethod(experiments_of))

    @field_validator("user_key")
    @classmethod
    def _key(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        return checked_user_key(value, needed=given.data.get("count_users", False))

    @property
    def keys(self) -> UserKeys:
        """The keys of the hash of users."""
        return UserKeys.of(self.user_key.get_secret_value())

    def in_topic(self, topic: str) -> Rules:
        """The rules that these settings ask for in a topic. In a replay topic nothing is late.

        A replay topic is framed if its own topic is: a replay sends values as they were.
        """
        rules, own = self.to_rules(), topic.removesuffix(REPLAY)
        if any(kind_of(own) == action.topic() for action in self.framed):
            rules = rules.framed
        return rules if own == topic else rules.never_late

    @property
    def framed(self) -> frozenset[Action]:
        """The actions whose topics are framed."""
        return frozenset(action for action in Action if action.label in self.framed_topics.split(","))

    def to_rules(self) -> Rules:
        """The rules that these settings ask for in a topic of plain JSON that producers write to."""
        return Rules(
            allowed_lateness_ms=self.allowed_lateness_seconds * 1000,
            max_clock_skew_ms=self.max_clock_skew_seconds * 1000,
            retention_ms=self.retention_days * 86_400_000,
            slice_records=self.slice_records,
            dedup=self.dedup,
            breakdown=self.breakdown,
            trusted_cap=self.trusted_cap,
            experiments=names_of(self.experiments),
            shards=self.shards,
            user_key=self.keys.current if self.count_users else NO_KEY,
        )
