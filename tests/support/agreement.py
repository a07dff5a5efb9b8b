"""What must agree about each value: the decoder, the models, and the audit's two readers of events."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pintally.audit.arms import Assigned
from pintally.audit.contract import Event as AuditEvent
from pintally.audit.contract import read_event
from pintally.audit.events import EventReader
from pintally.audit.labels import Labels
from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.events import ContractError, validate


class Row(NamedTuple):
    """All that is decoded of a value. `reason` is None if it is valid; the rest is 0, None or empty if it is not."""

    reason: str | None
    pin_id: int = 0
    user_id: int = 0
    occurred_at: int = 0
    event_id: int = 0
    surface: str | None = None
    platform: str | None = None
    experiments: tuple[tuple[str, str], ...] = ()


def rows_of(decoded: Decoded) -> Iterator[Row]:
    """The rows of the columns."""
    names: dict[int, str | None] = {}

    def name(number: int) -> str | None:
        return names[number] if number in names else names.setdefault(number, decoded.labels[number])

    def named(number: int) -> str:
        found = name(number)
        assert found is not None, "an experiment and its arm have names"
        return found

    arms = decoded.experiments
    pairs = [(named(k), named(v)) for k, v in zip(arms.experiment.tolist(), arms.arm.tolist(), strict=True)]
    offsets = arms.offsets.tolist()
    columns = (decoded.valid, decoded.pin_id, decoded.user_id, decoded.occurred_at, decoded.surface, decoded.platform)
    rows = zip(*(column.tolist() for column in columns), decoded.event_id.tolist(), strict=True)
    for i, (valid, pin_id, user_id, occurred_at, surface, platform, (upper, lower)) in enumerate(rows):
        assert valid == (i not in decoded.reasons), f"value {i}: valid {valid}, and {decoded.reasons.get(i)}"
        yield Row(
            decoded.reasons.get(i), pin_id, user_id, occurred_at, upper << 64 | lower, name(surface), name(platform),
            tuple(pairs[offsets[i] : offsets[i + 1]]),
        )  # fmt: skip


def by_the_models(value: bytes | None, action: Action) -> Row:
    """What the models say of a value."""
    try:
        event = validate(value, action)
    except ContractError as error:
        return Row(error.reason)
    return Row(
        None, event.pin_id, event.user_id, event.occurred_at, event.event_id.int, event.surface, event.platform,
        tuple((event.experiments or {}).items()),
    )  # fmt: skip


def audited_at_once(values: Sequence[bytes | None], action: Action, prefix_bytes: int = 0) -> list[AuditEvent | None]:
    """What the audit's reader of many values says of each."""
    labels, assigned = Labels(), Assigned()
    events = EventReader(action.label, prefix_bytes).read(values, labels, assigned)
    names, sets = list(labels), list(assigned)
    columns = (
        events.event_id,
        events.pin_id,
        events.occurred_at,
        events.user_id,
        events.surface,
        events.platform,
        events.experiments,
    )
    found: list[AuditEvent | None] = []
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for valid, ((upper, lower), pin, at, user, surface, platform, arms) in zip(
        events.valid.tolist(), rows, strict=True
    ):
        event_id = (upper << 64 | lower).to_bytes(16, "big")
        assert valid or (upper, lower, pin, at, user, surface, platform, arms) == (0,) * 8
        event = AuditEvent(event_id, pin, at, user, names[surface], names[platform], dict(sets[arms]))
        found.append(event if valid else None)
    return found


def as_audited(row: Row) -> AuditEvent:
    """What of a row the audit reads."""
    event_id = row.event_id.to_bytes(16, "big")
    return AuditEvent(
        event_id, row.pin_id, row.occurred_at, row.user_id, row.surface, row.platform, dict(row.experiments)
    )


def assert_agree(decoded: Decoded, values: Sequence[bytes | None], action: Action) -> int:
    """Raises AssertionError, with the value, at the first difference; returns how many values are valid."""
    found, valid = list(rows_of(decoded)), 0
    audited_together = audited_at_once(values, action)
    assert len(found) == len(values), f"{len(values)} values, {len(found)} rows"
    for row, value, at_once in zip(found, values, audited_together, strict=True):
        expected = by_the_models(value, action)
        assert row == expected, f"{action.label} {value!r}: decoded {row}, by the models {expected}"
        audited = read_event(value, action.label)
        counted = None if row.reason else as_audited(row)
        assert audited == counted, f"{action.label} {value!r}: decoded {counted}, by the audit {audited}"
        assert at_once == counted, f"{action.label} {value!r}: decoded {counted}, by the audit in columns {at_once}"
        valid += row.reason is None
    return valid
