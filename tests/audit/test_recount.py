"""The recount on logs made by hand. Names end with the rule of docs/protocol that they hold the recount to."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from pintally.audit.aggregates.pin_minutes import PinMinutes
from pintally.audit.log import Piece
from pintally.audit.records import Records
from pintally.audit.recount import Recount, SliceStart
from pintally.audit.rules import CountingRules
from pintally.audit.slices import OFFSET, OFFSET_BITS, Outcome, Slice

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z, a multiple of ten minutes
MINUTE = 60_000
HOUR = 3_600_000
RULES = CountingRules(
    fingerprint="",
    allowed_lateness_ms=HOUR,
    max_clock_skew_ms=5 * MINUTE,
    retention_ms=90 * 24 * HOUR,
    slice_records=10,
    dedup=True,
    breakdown=True,
    trusted_cap=5,
)


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None


def event(
    number: int,
    occurred_at: int = NOON,
    pin: int = 7,
    user: int = 1,
    surface: str | None = None,
    platform: str | None = None,
) -> bytes:
    fields = {
        "event_id": str(UUID(int=number)),
        "action": "save",
        "pin_id": str(pin),
        "user_id": str(user),
        "occurred_at": occurred_at,
    } | {name: label for name, label in (("surface", surface), ("platform", platform)) if label is not None}
    return json.dumps(fields).encode()


def save(offset: int, timestamp: int = NOON, id: int | None = None, at: int | None = None, pin: int = 7) -> Record:
    occurred_at = (timestamp if timestamp >= 0 else NOON) if at is None else at
    return Record(offset, timestamp, event(1000 + offset if id is None else id, occurred_at, pin))


def recount(
    records: Iterable[Record],
    end: int,
    rules: CountingRules = RULES,
    place: SliceStart | None = None,
    first: int | None = None,
    borders: Iterable[int] = (),
) -> list[Slice]:
    place = SliceStart(0, 0) if place is None else place
    counting = Recount("save", rules, place, place.offset if first is None else first)
    left, slices = list(records), list[Slice]()
    for border in [*borders, end]:
        piece = [record for record in left if record.offset < border]
        left = left[len(piece) :]
        slices += counting.feed(Piece(Records.of(piece), border))
    return slices + list(counting.finish())


def outcomes(slices: Iterable[Slice]) -> dict[int, Outcome]:
    return {o: Outcome(f) for s in slices for o, f in zip(s.offsets, s.outcomes, strict=True)}


def cells(slice_: Slice) -> list[tuple[int, int, int]]:
    """(minute in seconds, pin, offset) of each counted record."""
    keys = [(PinMinutes().key(n >> OFFSET_BITS), n & OFFSET) for n in slice_.counted(0)]
    return [(key.minute, key.pin, offset) for key, offset in keys]


def plain(slices: Iterable[Slice]) -> list[tuple[Any, ...]]:
    """All that slices hold, for comparing."""
    return [
        (s.key, s.start, s.start_stream_time, s.end, s.complete, s.offsets.tolist(), s.stream_times.tolist(),
         s.outcomes.tolist(), s.counted(0), s.trusted(0), s.rejected)
        for s in slices
    ]  # fmt: skip


def test_stream_time_is_the_highest_kafka_timestamp_and_never_falls_c1() -> None:
    (only,) = recount([save(0, NOON + 50), save(1, NOON + 20), save(2, -1), save(3, NOON + 60)], 4)
    assert list(only.stream_times) == [NOON + 50, NOON + 50, NOON + 50, NOON + 60]
    assert [Outcome(outcome) for outcome in only.outcomes] == [
        Outcome.COUNTED,
        Outcome.COUNTED,
        Outcome.INVALID,
        Outcome.COUNTED,
    ]
    assert (only.at(2).stream_time, only.at(0).stream_time) == (NOON + 50, 0)


def test_a_slice_ends_where_its_block_ends_or_stream_time_passes_ten_minutes_c1() -> None:
    records = [save(9), save(10), save(11, NOON + 10 * MINUTE - 1), save(12, NOON + 10 * MINUTE), save(13, NOON)]
    found = [
        (s.key, s.start, s.end, s.start_stream_time, s.complete)
        for s in recount(records, 14, place=SliceStart(9, NOON))
    ]
    noon = NOON // 1000
    assert found == [
        ((0, noon), 9, 10, NOON, True),
        ((1, noon), 10, 12, NOON, True),
        ((1, noon + 600), 12, 14, NOON + 10 * MINUTE - 1, False),
    ]


def test_gaps_belong_to_their_block_and_the_stream_time_before_c3() -> None:
    slices = recount([save(3), save(34, NOON + 10 * MINUTE)], 52)
    noon = NOON // 1000
    assert [(s.key, s.start, s.end) for s in slices] == [
        ((0, 0), 0, 3),
        ((0, noon), 3, 10),
        ((1, noon), 10, 20),
        ((2, noon), 20, 30),
        ((3, noon), 30, 34),
        ((3, noon + 600), 34, 40),
        ((4, noon + 600), 40, 50),
        ((5, noon + 600), 50, 52),
    ]
    assert [s.at(s.end).gaps for s in slices] == [3, 6, 10, 10, 4, 5, 10, 2]
    assert all(sum(s.at(s.end)[1:]) == s.end - s.start for s in slices)


def test_what_is_no_event_or_too_early_or_too_old_is_dead_and_registers_no_id_c2() -> None:
    records = [
        Record(0, NOON, None),
        Record(1, NOON, b"{}"),
        save(2, NOON, id=5, at=NOON + 5 * MINUTE + 1),
        save(3, NOON, id=6, at=NOON - RULES.retention_ms - 1),
        save(4, NOON, id=5, at=NOON + 5 * MINUTE),
        save(5, NOON, id=6, at=NOON - RULES.retention_ms),
    ]
    found = outcomes(recount(records, 6))
    assert found == {
        0: Outcome.INVALID,
        1: Outcome.INVALID,
        2: Outcome.INVALID,
        3: Outcome.INVALID,
        4: Outcome.COUNTED,
        5: Outcome.LATE,
    }


def test_a_record_is_late_once_its_minute_and_the_lateness_are_over_c2() -> None:
    closing = NOON + MINUTE + HOUR
    found = outcomes(
        recount([save(0, closing - 1, at=NOON), save(1, closing, at=NOON), save(2, closing, at=NOON + MINUTE)], 3)
    )
    assert found == {0: Outcome.COUNTED, 1: Outcome.LATE, 2: Outcome.COUNTED}


def test_a_late_record_registers_its_id_c2() -> None:
    found = outcomes(recount([save(0, id=1, at=NOON - 2 * HOUR), save(1, id=1), save(2, id=1, at=NOON - 2 * HOUR)], 3))
    assert found == {0: Outcome.LATE, 1: Outcome.DUPLICATE, 2: Outcome.LATE}


def test_an_id_matters_to_its_own_block_and_the_next_c2() -> None:
    found = outcomes(recount([save(9, id=1), save(19, id=1), save(20, id=1), save(40, id=1)], 41))
    assert found == {9: Outcome.COUNTED, 19: Outcome.DUPLICATE, 20: Outcome.DUPLICATE, 40: Outcome.COUNTED}


def test_an_id_matters_to_its_own_ten_minutes_and_the_next_c2() -> None:
    later = [NOON, NOON + 20 * MINUTE - 1, NOON + 39 * MINUTE, NOON + 60 * MINUTE]
    found = outcomes(recount([save(n, at, id=1) for n, at in enumerate(later)], 4))
    assert list(found.values()) == [Outcome.COUNTED, Outcome.DUPLICATE, Outcome.COUNTED, Outcome.COUNTED]


def test_without_dedup_every_copy_counts() -> None:
    from dataclasses import replace

    found = outcomes(recount([save(0, id=1), save(1, id=1)], 2, replace(RULES, dedup=False)))
    assert found == {0: Outcome.COUNTED, 1: Outcome.COUNTED}


def test_cells_are_minutes_and_pins_of_counted_records_alone() -> None:
    (only,) = recount([save(0, pin=9), save(1, at=NOON - MINUTE, pin=2**64 - 1), save(2, pin=9), save(3, id=1000)], 4)
    noon = NOON // 1000
    assert cells(only) == [(noon - 60, 2**64 - 1, 1), (noon, 9, 0), (noon, 9, 2)]
    assert only.at(2)[1:] == (2, 0, 0, 0, 0)
    assert only.at(4)[1:] == (3, 1, 0, 0, 0)


def test_collecting_ids_before_the_first_slice_gives_the_same_slices_c14() -> None:
    records = [save(n, NOON + n * MINUTE, id=n % 7, at=NOON + n * MINUTE) for n in range(60)]
    whole = recount(records, 60, place=SliceStart(0, NOON))
    middle = next(s for s in whole if s.start >= 30)
    collect = next(s for s in whole if s.start >= 10)
    part = recount(
        records[collect.start :], 60, place=SliceStart(collect.start, collect.start_stream_time), first=middle.start
    )
    assert plain(part) == plain(whole[whole.index(middle) :])


def test_the_first_slice_counted_begins_where_it_is_told_to() -> None:
    slices = recount([save(n) for n in range(8)], 8, place=SliceStart(0, NOON), first=5)
    assert [(s.start, s.end) for s in slices] == [(5, 8)]


def test_borders_of_what_kafka_hands_out_change_nothing_c3() -> None:
    records = [save(n, NOON + n * 40_000, id=n % 11) for n in range(0, 50, 2)]
    assert plain(recount(records, 50, borders=[1, 7, 8, 20, 31])) == plain(recount(records, 50))


def test_a_rejected_record_is_kept_with_what_its_dead_letter_must_say() -> None:
    (only,) = recount([Record(0, NOON, None), save(1, NOON, at=NOON - 3 * HOUR), save(2, -1)], 3)
    assert [(r.offset, r.timestamp, r.outcome, r.digest is None) for r in only.rejected] == [
        (0, NOON, "invalid", True),
        (1, NOON, "late", False),
        (2, -1, "invalid", False),
    ]
