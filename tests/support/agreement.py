"""What must agree about each value: the decoder, the models, and the audit's own reader of events."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pintally.audit.contract import Event as AuditEvent
from pintally.audit.contract import read_event
from pintally.schemas.actions import Action
from pintally.schemas.decoding.values import Decoded
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

    arms = decoded.experiments
    pairs = [(name(k), name(v)) for k, v in zip(arms.experiment.tolist(), arms.arm.tolist(), strict=True)]
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


def assert_agree(decoded: Decoded, values: Sequence[bytes | None], action: Action) -> int:
    """Raises AssertionError, with the value, at the first difference; returns how many values are valid."""
    found, valid = list(rows_of(decoded)), 0
    assert len(found) == len(values), f"{len(values)} values, {len(found)} rows"
    for row, value in zip(found, values, strict=True):
        expected = by_the_models(value, action)
        assert row == expected, f"{action.label} {value!r}: decoded {row}, by the models {expected}"
        audited = read_event(value, action.label)
        counted = None if row.reason else AuditEvent(row.event_id.to_bytes(16, "big"), row.pin_id, row.occurred_at)
        assert audited == counted, f"{action.label} {value!r}: decoded {counted}, by the audit {audited}"
        valid += row.reason is None
    return valid
