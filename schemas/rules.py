"""The counting rules. Counts are a pure function of the log and these; their fingerprint is in every ledger row."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from pintally.schemas.errors import UnknownRules
from pintally.schemas.framing import PREFIX_BYTES
from pintally.schemas.user_keys import NO_KEY

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
ARRIVAL_BUCKET_MS = 600_000  # slices are cut where the stream time passes a multiple of ten minutes
LEFT_OUT = ("prefix_bytes", "user_key", "experiments", "shards")
NEVER_LATE_MS = 2**32 * 1000  # no clock goes so far: ClickHouse's DateTime ends in 2106


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides outcomes and slices. Durations in milliseconds, `slice_records` in offsets."""

    schema_version: int = 1
    code_version: int = 1
    allowed_lateness_ms: int = 3_600_000
    max_clock_skew_ms: int = 300_000
    retention_ms: int = 90 * 86_400_000
    slice_records: int = 250_000
    dedup: bool = True
    prefix_bytes: int = 0  # before the JSON of a value: 0 or PREFIX_BYTES (E12)
    breakdown: bool = True  # cells by surface and platform (C29); off: both are `unknown`
    trusted_cap: int = 5  # trusted records a slice of one user, pin and action (C30); 0: every record is trusted
    experiments: tuple[str, ...] = ()  # whose arms are counted (C32): names, ascending; EVERY alone: all of them
    shards: int = 1  # servers that share the pins (C33)
    user_key: str = NO_KEY  # id of the secret key that users are hashed with, if something is counted by their hash

    def to_json(self) -> str:
        """Canonical JSON (sorted keys, no spaces), as start rows keep it.

        What is in LEFT_OUT is left out if it has its default: rules that were recorded before it existed keep their
        fingerprint.
        """
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """The rules a start row keeps. Raises UnknownRules on one that this version does not know."""
        return _from_json(text)

    @property
    def never_late(self) -> "Rules":
        """These rules without lateness: those of a replay topic, which exists for what comes too late."""
        return replace(self, allowed_lateness_ms=NEVER_LATE_MS)

    @property
    def framed(self) -> "Rules":
        """These rules for values that a schema registry frames."""
        return replace(self, prefix_bytes=PREFIX_BYTES)

    @property
    def without_users(self) -> "Rules":
        """These rules without what is counted by users: outcomes and pin-minutes are the same, and no key is needed."""
        return replace(self, user_key=NO_KEY)

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of SHA-256 over `to_json()`."""
        return _fingerprint(self)


TYPES: Final = {field.name: list if field.name == "experiments" else type(field.default) for field in fields(Rules)}
# Values that this version gives a meaning, where not every value of the type has one.
MEANT: Final[Mapping[str, Callable[[Any], bool]]] = {
    "schema_version": lambda version: version == Rules().schema_version,
    "code_version": lambda version: version == Rules().code_version,
    "slice_records": lambda size: size > 0,
    "prefix_bytes": lambda size: size in (0, PREFIX_BYTES),
    "trusted_cap": lambda cap: cap >= 0,
    "shards": lambda number: number > 0,
    "experiments": lambda names: all(type(name) is str for name in names),
}


def fingerprint_of(text: str) -> str:
    """The fingerprint of rules as a start row keeps them, whether this version knows them or not."""
    return sha256(text.encode()).hexdigest()[:16]


# A worker has few rules, and asks for these of each ledger row.


@lru_cache
def _to_json(rules: Rules) -> str:
    default = {field.name: field.default for field in fields(Rules)}
    recorded = {name: value for name, value in asdict(rules).items() if value != default[name] or name not in LEFT_OUT}
    return json.dumps(recorded, sort_keys=True, separators=(",", ":"))


@lru_cache
def _from_json(text: str) -> Rules:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise _unknown(["no JSON object"], text)
    values.setdefault("experiments", [])
    if unknown := sorted(_strange(values)):
        raise _unknown(unknown, text)
    return Rules(**values | {"experiments": tuple(values["experiments"])})


def _strange(values: Mapping[str, Any]) -> Iterator[str]:
    """What this version cannot count by: fields that it does not have, and values that it gives no meaning."""
    for name, value in values.items():
        if name not in TYPES:
            yield name
        elif type(value) is not TYPES[name] or not MEANT.get(name, lambda _: True)(value):
            yield f"{name}={value}"


def _unknown(what: Sequence[str], text: str) -> UnknownRules:
    return UnknownRules(
        f"the ledger has rules that this version does not know: {', '.join(what)}, in {text}",
        "Upgrade Pintally to the version that wrote them, or to a newer one.",
    )


@lru_cache
def _fingerprint(rules: Rules) -> str:
    return fingerprint_of(rules.to_json())
