"""The counting rules as a start row states them, and the few constants no rule may change.

Nothing here comes from the settings: a count is judged by the rules it claims to have been made under.
"""

import json
from dataclasses import dataclass
from hashlib import sha256

from pintally.audit.errors import CannotTell

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
ARRIVAL_BUCKET_MS = 600_000  # slices are cut where the stream time passes a multiple of ten minutes
KNOWN_SCHEMA = 1  # what audit.contract implements
KNOWN_CODE = 1  # what audit.recount implements
KNOWN_PREFIXES = (0, 5)  # what audit.contract implements
# Rules that do not use these do not state them.
MAY_BE_MISSING: dict[str, object] = {"prefix_bytes": 0, "user_key": "", "experiments": []}
FIELDS = {
    "schema_version": int,
    "code_version": int,
    "allowed_lateness_ms": int,
    "max_clock_skew_ms": int,
    "retention_ms": int,
    "slice_records": int,
    "dedup": bool,
    "breakdown": bool,
    "trusted_cap": int,
    **{name: type(default) for name, default in MAY_BE_MISSING.items()},
}


@dataclass(frozen=True, slots=True)
class CountingRules:
    """Durations in milliseconds, slice_records in offsets; ledger rows must have this `fingerprint`.

    `prefix_bytes` stand before the JSON of each value. With `breakdown`, cells have the surface and the platform of
    their events. Of one user and pin, `trusted_cap` counted records of a slice are trusted; 0: all.
    The arms of `experiments` are counted, those of all if it is `*`.
    `user_key` is the id of the key that users are hashed with.
    """

    fingerprint: str
    allowed_lateness_ms: int
    max_clock_skew_ms: int
    retention_ms: int
    slice_records: int
    dedup: bool
    breakdown: bool
    trusted_cap: int
    prefix_bytes: int = 0
    user_key: str = ""
    experiments: tuple[str, ...] = ()


def parse_rules(text: str) -> CountingRules:
    """The rules in a start row's JSON. Raises CannotTell if they are not rules, or of a version unknown here."""
    unknown = CannotTell(
        f"start row holds rules that this verify does not know: {text[:300]}", "Use verify of that version."
    )
    try:
        fields = json.loads(text)
    except ValueError:
        raise unknown from None
    if not isinstance(fields, dict):
        raise unknown
    for name, default in MAY_BE_MISSING.items():
        fields.setdefault(name, default)
    if {name: type(value) for name, value in fields.items()} != FIELDS:
        raise unknown
    if (fields.pop("schema_version"), fields.pop("code_version")) != (KNOWN_SCHEMA, KNOWN_CODE):
        raise unknown
    if fields["slice_records"] < 1 or fields["trusted_cap"] < 0 or fields["prefix_bytes"] not in KNOWN_PREFIXES:
        raise unknown
    experiments = fields.pop("experiments")
    if not all(isinstance(name, str) for name in experiments):
        raise unknown
    fields["experiments"] = tuple(experiments)
    return CountingRules(fingerprint=_fingerprint(json.loads(text)), **fields)


def _fingerprint(fields: dict[str, object]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:16]
