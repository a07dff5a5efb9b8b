"""Settings: `PINTALLY_*` variables, else what `pintally up` wrote beside the local engines, else the defaults."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from pintally.streams.settings.groups import (
    ClickHouseSettings,
    Group,
    KafkaSettings,
    RulesSettings,
    ServeSettings,
    TopicSettings,
    WorkerSettings,
)
from pintally.streams.settings.refused_shards import refuse_shards
from pintally.streams.settings.variables import LOCAL_DIR, LOCAL_ENV, PREFIX, explained, refuse_renamed, warnings_of

__all__ = [
    "LOCAL_DIR",
    "LOCAL_ENV",
    "SETTINGS",
    "ClickHouseSettings",
    "KafkaSettings",
    "RulesSettings",
    "ServeSettings",
    "Settings",
    "TopicSettings",
    "WorkerSettings",
    "load_settings",
]

GROUPS: dict[str, type[Group]] = {
    "kafka": KafkaSettings,
    "clickhouse": ClickHouseSettings,
    "topics": TopicSettings,
    "worker": WorkerSettings,
    "rules": RulesSettings,
    "serve": ServeSettings,
}


class Setting(NamedTuple):
    """Where a setting stands in `Settings`."""

    group: str
    name: str
    field: FieldInfo


# By what comes after PINTALLY_, in small letters: the names that functions below take.
SETTINGS = {
    f"{of.model_config['env_prefix']}{name}".removeprefix(PREFIX).lower(): Setting(group, name, field)
    for group, of in GROUPS.items()
    for name, field in of.model_fields.items()
}


class Settings(BaseModel):
    """All groups. Who needs one of them is given that one and no other."""

    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    topics: TopicSettings
    worker: WorkerSettings
    rules: RulesSettings
    serve: ServeSettings

    @classmethod
    def of(cls, env_file: Path | None = LOCAL_ENV, **values: Any) -> Self:
        """These values by name, for instance `kafka_group_id`; all others as `Group` reads them.

        Raises ValidationError on a value that cannot be used, KeyError on a name that no setting has.
        """
        given = _by_group(values)
        return cls(**{group: of(_env_file=env_file, **given[group]) for group, of in GROUPS.items()})

    def changed(self, **values: Any) -> Self:
        """The same but for these values by name. Raises as `of` does."""
        return type(self).of(None, **(self.values() | values))

    def values(self) -> dict[str, Any]:
        """Every value by name. Passwords are not shown by repr."""
        return {name: getattr(getattr(self, each.group), each.name) for name, each in SETTINGS.items()}

    @property
    def sources(self) -> tuple[KafkaSettings, TopicSettings, RulesSettings]:
        """What says which sources are counted, where they are, and how."""
        return self.kafka, self.topics, self.rules

    def environment(self) -> dict[str, str]:
        """The environment of a child process with these settings and no others. Holds the passwords in the clear."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        ours = {
            f"{PREFIX}{name.upper()}": str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in self.values().items()
            if value is not None
        }
        return inherited | ours


def _by_group(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for name, value in values.items():
        given[SETTINGS[name].group][SETTINGS[name].name] = value
    return given


def to_stderr(warning: str) -> None:
    """Say it as commands do."""
    print(f"warning: {warning}", file=sys.stderr)


def load_settings(warn: Callable[[str], None] = to_stderr, *, over_shards: bool = False) -> Settings:
    """Read the settings; `warn` gets what is probably not meant, a sentence each.

    `over_shards`: the caller asks all shards of ClickHouse. Any other is refused where there are several.
    Raises PintallyError naming the variable, its value (but no password) and what it may be.
    """
    given = {name.upper(): value for name, value in os.environ.items()}
    refuse_renamed(given)
    try:
        settings = Settings.of()
    except ValidationError as error:
        raise explained(error, _fields(error.title)) from None  # its text holds what was given, passwords too
    for warning in warnings_of(given, settings.values()):
        warn(warning)
    refuse_shards(settings.clickhouse, settings.rules, over_shards=over_shards)
    return settings


def _fields(group: str) -> dict[str, tuple[str, FieldInfo]]:
    """The variables of the group of that class name and their fields, by name of field."""
    return {
        each.name: (f"{PREFIX}{name.upper()}", each.field)
        for name, each in SETTINGS.items()
        if GROUPS[each.group].__name__ == group
    }
