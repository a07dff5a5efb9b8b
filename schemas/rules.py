"""The counting rules. Counts are a pure function of the log and these; their fingerprint is in every ledger row."""

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from hashlib import sha256

from pintally.schemas.actions import REPLAY
from pintally.schemas.errors import PintallyError

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
ARRIVAL_BUCKET_MS = 600_000  # slices are cut where the stream time passes a multiple of ten minutes
NEVER_LATE_MS = 2**32 * 1000  # no clock goes so far: ClickHouse's DateTime ends in 2106


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides outcomes and slices. Durations in milliseconds, sizes in offsets."""

    schema_version: int = 1
    code_version: int = 1
    allowed_lateness_ms: int = 3_600_000
    max_clock_skew_ms: int = 300_000
    retention_ms: int = 90 * 86_400_000
    slice_records: int = 250_000
    dedup: bool = True

    def to_json(self) -> str:
        """Canonical JSON (sorted keys, no spaces), as start rows keep it."""
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """The rules a start row keeps. Raises PintallyError on one that this version does not know."""
        return _from_json(text)

    @property
    def never_late(self) -> "Rules":
        """These rules without lateness: those of a replay topic, which exists for what comes too late."""
        return replace(self, allowed_lateness_ms=NEVER_LATE_MS)

    def in_topic(self, topic: str) -> "Rules":
        """These rules as they hold in a topic: in a replay topic nothing is late."""
        return self.never_late if topic.endswith(REPLAY) else self

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of SHA-256 over `to_json()`."""
        return _fingerprint(self)


# A worker has few rules, and asks for these of each ledger row.


@lru_cache
def _to_json(rules: Rules) -> str:
    return json.dumps(asdict(rules), sort_keys=True, separators=(",", ":"))


@lru_cache
def _from_json(text: str) -> Rules:
    values = json.loads(text)
    if unknown := sorted(values.keys() - {field.name for field in fields(Rules)}):
        raise PintallyError(
            f"the ledger has rules that this version does not know: {', '.join(unknown)}, in {text}",
            "Run the version of Pintally that wrote them, or a newer one.",
        )
    return Rules(**values)


@lru_cache
def _fingerprint(rules: Rules) -> str:
    return sha256(rules.to_json().encode()).hexdigest()[:16]
