"""The counting rules as a start row states them, and the few constants no rule may change.

Nothing here comes from the settings: a count is judged by the rules it claims to have been made under.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pintally.audit.errors import CannotTell

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
ARRIVAL_BUCKET_MS = 600_000  # slices are cut where the stream time passes a multiple of ten minutes
KNOWN_SCHEMA = 1  # what audit.contract implements
KNOWN_CODE = 1  # what audit.recount implements
KNOWN_PREFIXES = (0, 5)  # what audit.contract implements
# Rules that do not use these do not state them.
MAY_BE_MISSING: dict[str, object] = {"prefix_bytes": 0, "user_key": "", "experiments": [], "shards": 1}
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
# Values that are implemented, where not every value of the type is.
MEANT: dict[str, Callable[[Any], bool]] = {
    "schema_version": lambda version: version == KNOWN_SCHEMA,
    "code_version": lambda version: version == KNOWN_CODE,
    "slice_records": lambda size: size >= 1,
    "trusted_cap": lambda cap: cap >= 0,
    "shards": lambda number: number >= 1,
    "prefix_bytes": lambda size: size in KNOWN_PREFIXES,
    "experiments": lambda names: all(isinstance(name, str) for name in names),
}


@dataclass(frozen=True, slots=True)
class CountingRules:
    """Durations in milliseconds, slice_records in offsets; ledger rows must have this `fingerprint`.

    `prefix_bytes` stand before the JSON of each value. With `breakdown`, cells have the surface and the platform of
    their events. Of one user and pin, `trusted_cap` counted records of a slice are trusted; 0: all.
    The arms of `experiments` are counted, those of all if it is `*`.
    The pins are on `shards` servers.
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
    shards: int = 1


def parse_rules(text: str) -> CountingRules:
    """The rules in a start row's JSON. Raises CannotTell if they are not rules, or of a version unknown here."""
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise _unknown(["no JSON object"], text)
    for name, default in MAY_BE_MISSING.items():
        fields.setdefault(name, default)
    strange = [name for name in fields.keys() | FIELDS.keys() if type(fields.get(name)) is not FIELDS.get(name)]
    strange = strange or [name for name, means in MEANT.items() if not means(fields[name])]
    if strange:
        raise _unknown([f"{name}={fields.get(name)}" for name in sorted(strange)], text)
    del fields["schema_version"], fields["code_version"]
    fields["experiments"] = tuple(fields["experiments"])
    return CountingRules(fingerprint=_fingerprint(json.loads(text)), **fields)


def _unknown(what: Sequence[str], text: str) -> CannotTell:
    return CannotTell(
        f"start row holds rules that this verify does not know: {', '.join(what)}, in {text[:300]}",
        "Upgrade Pintally to the version that wrote them, or to a newer one.",
    )


def _fingerprint(fields: dict[str, object]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:16]
