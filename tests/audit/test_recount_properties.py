"""The recount and the counting path, written apart, make the same of every log."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pintally.audit import arms
from pintally.audit.aggregates import AGGREGATES
from pintally.audit.aggregates.experiment_cells import ExperimentCells
from pintally.audit.aggregates.pin_minutes import PinMinutes
from pintally.audit.labels import digest
from pintally.audit.log import Piece
from pintally.audit.places import beginning
from pintally.audit.records import Records
from pintally.audit.recount import Recount, SliceStart
from pintally.audit.rules import parse_rules
from pintally.audit.slices import OFFSET_BITS, Slice
from pintally.schemas.actions import Action
from pintally.schemas.decoding.values import Values
from pintally.schemas.framing import framed_as
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import UserKeys
from pintally.streams.counting.aggregates import slice_arms
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk, Envelope
from pintally.streams.counting.slices import Base
from tests.audit.test_recount import plain
from tests.counting.test_user_hash import PUBLISHED

NOON = 1_767_268_800_000
MINUTE = 60_000
SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
# Small numbers, so that every border of the rules is met often.
RULES = Rules(
    allowed_lateness_ms=15 * MINUTE,
    max_clock_skew_ms=2 * MINUTE,
    retention_ms=40 * MINUTE,
    slice_records=8,
    trusted_cap=2,
)


# Drawing a log is most of the time a test takes.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Record], int]:
    """Records in offset order with holes, stream times that jump both ways, ids that come again, some of it broken."""
    records: list[Record] = []
    offset, now = draw(st.integers(0, 20)), NOON
    for _ in range(draw(st.integers(0, 30))):
        offset += draw(st.sampled_from([1, 1, 1, 1, 1, 2, 3, 9, 20]))
        now += draw(st.sampled_from([0, 0, 1, MINUTE, 3 * MINUTE, 9 * MINUTE, -5 * MINUTE, 25 * MINUTE]))
        timestamp = draw(st.sampled_from([now, now, now, now - 30 * MINUTE, -1]))
        ago = draw(
            st.sampled_from([0, 1, MINUTE, 14 * MINUTE, 15 * MINUTE, 16 * MINUTE, 40 * MINUTE, 41 * MINUTE, -MINUTE])
        )
        occurred_at = max(0, now - ago - draw(st.sampled_from([0, 0, 1, -1, 60_001, -120_001])))
        records.append(Record(offset, timestamp, draw(values(occurred_at))))
    return records, offset + draw(st.sampled_from([1, 1, 2, 30]))


def values(occurred_at: int) -> st.SearchStrategy[bytes | None]:
    def event(
        number: int, pin: int, user: int, surface: str | None, platform: str | None, arms: dict[str, str] | None
    ) -> bytes:
        fields: dict[str, Any] = {
            "event_id": str(UUID(int=number)),
            "action": "save",
            "pin_id": str(pin),
            "user_id": str(user),
        }
        labels = {"surface": surface} | ({} if platform is None else {"platform": platform})
        return json.dumps(fields | labels | {"occurred_at": occurred_at, "experiments": arms}).encode()

    label = st.sampled_from([None, None, "a", "b", "\u00f6", "other", "unknown"])
    sets = st.none() | st.dictionaries(
        st.sampled_from(["feed", "b", "\u00f6", "other"]), st.sampled_from(["a", "other"])
    )
    good = st.builds(event, st.integers(1, 12), st.integers(1, 3), st.integers(1, 2), label, label, sets)
    return st.one_of(good, good, good, good, good, good, st.sampled_from([None, b"{}", b"\xff"]))


def half_framed(record: Record, data: st.DataObject) -> Record:
    """With the five bytes of a schema registry before its value, but for one in four."""
    as_it_is = record.value is None or data.draw(st.integers(0, 3)) == 0
    return record if as_it_is else record._replace(value=framed_as(record.value or b"", 5, None))


def recount(
    records: list[Record], place: SliceStart, first: int, end: int, borders: list[int], rules: Rules = RULES
) -> list[Slice]:
    counting = Recount("save", parse_rules(rules.to_json()), place, first, (bytes.fromhex(PUBLISHED),))
    slices: list[Slice] = []
    for low, high in zip([place.offset, *borders], [*borders, end], strict=True):
        slices += counting.feed(Piece(Records.of(r for r in records if low <= r.offset < high), high))
    return slices + list(counting.finish())


def fold(records: list[Record], start: int, end: int, borders: list[int], rules: Rules = RULES) -> SourceFold:
    folding = SourceFold(SOURCE, Action.SAVE, rules, 0, Base(start, 0, start, 0), keys=KEYS)
    for low, high in zip([start, *borders], [*borders, end], strict=True):
        part = [r for r in records if low <= r.offset < high]
        offsets = np.array([r.offset for r in part], np.int64)
        timestamps = np.array([r.timestamp for r in part], np.int64)
        values = Values.of([r.value for r in part])
        folding.fold(Chunk("engagement.save.v1", 0, low, high, offsets, timestamps, values, envelopes))
    return folding


def envelopes(offsets: Sequence[int]) -> dict[int, Envelope]:
    return dict.fromkeys(offsets, (None, ()))


Cells = Counter[tuple[int, int, int, str, str, int]]  # of slice, minute, labels and pin


def cells_of(slice_: Slice, records: list[int]) -> Cells:
    """The cells of some of `slice_.counted` or `slice_.trusted`."""
    names = {digest(name): name for labels in slice_.cells[0].labels for name in labels.names}
    keys = [PinMinutes().key(number >> OFFSET_BITS) for number in records]
    return Counter((*slice_.key, key.minute, names[key.surface], names[key.platform], key.pin) for key in keys)


Arms = Counter[tuple[int, int, int, int, str, str, int]]  # of slice, action, hour, experiment, arm and bucket
ARM = ("action", "hour", "experiment", "arm", "bucket")
OF_ARMS = [each.table for each in AGGREGATES].index("experiment_cells")
Members = Counter[tuple[int | str, ...]]  # of slice, action, hour, experiment, arm, key and hash of the user
MEMBER = ("action", "hour", "experiment", "arm", "user_key", "user_hash")
OF_MEMBERS = [each.table for each in AGGREGATES].index("arm_members")
KEYS = UserKeys.of(PUBLISHED)
FEW = 3  # arms that count under their own names: a slice has few


def arms_of(slice_: Slice, records: list[int]) -> Arms:
    """The cells of some of `slice_.counted` or `slice_.trusted` of arms."""
    names = {digest(name): name for name in slice_.cells[OF_ARMS].names}
    keys = [ExperimentCells().key(number >> OFFSET_BITS) for number in records]
    return Counter(
        (*slice_.key, key.action, key.hour, names[key.experiment], names[key.arm], key.bucket) for key in keys
    )


def members_of(slice_: Slice) -> Members:
    """How many records of a slice each member of an arm has."""
    cells = slice_.cells[OF_MEMBERS]
    names = {digest(name): name for name in cells.names}
    action, hour, experiment, arm, *user = (column.tolist() for column in cells.keys)
    rows = zip(action, hour, map(names.get, experiment), map(names.get, arm), *user, cells.counts.tolist(), strict=True)
    return Counter({(*slice_.key, *key): events for *key, events in rows})


@pytest.fixture(autouse=True, scope="module")
def few_arms_have_a_name() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slice_arms, "MAX_SLICE_ARMS", FEW)
        patch.setattr(arms, "KEPT", FEW)
        yield


def borders_within(start: int, end: int) -> st.SearchStrategy[list[int]]:
    return st.sets(st.integers(start + 1, max(start + 1, end - 1)), max_size=6).map(
        lambda chosen: sorted(border for border in chosen if border < end)
    )


EXPERIMENTS = st.sampled_from([(), ("*",), ("feed",), ("b", "feed")])


@unhurried
@given(
    logs(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([True, True, False]),
    st.integers(0, 3),
    EXPERIMENTS,
    st.booleans(),
    st.data(),
)
@example(([], 30), True, False, True, 5, ("*",), True, None)
def test_every_slice_outcome_cell_and_dead_letter_is_the_same(
    log: tuple[list[Record], int],
    dedup: bool,
    framed: bool,
    breakdown: bool,
    cap: int,
    experiments: tuple[str, ...],
    users: bool,
    data: st.DataObject | None,
) -> None:
    records, end = log
    if framed and data:
        records = [half_framed(record, data) for record in records]
    start = records[0].offset if records else 0
    theirs, ours = (data.draw(borders_within(start, end)) if data else [] for _ in range(2))
    rules = replace(RULES, dedup=dedup, breakdown=breakdown, trusted_cap=cap, experiments=experiments)
    rules = replace(rules, user_key=KEYS.current if users else "")
    rules = rules.framed if framed else rules
    slices = recount(records, SliceStart(start, 0), start, end, ours, rules)
    captured = fold(records, start, end, theirs, rules).capture()
    assert captured is not None
    assert [
        (row.slice_block, row.arrived_at, row.start, row.start_stream_time, row.position, row.stream_time, *(
            getattr(row.outcomes, name) for name in ("counted", "duplicate", "late", "invalid", "gaps")
        ), row.cells_sum)
        for row in captured.ledger
    ] == [
        (*s.key, s.start, s.start_stream_time, s.end, *s.at(s.end), s.at(s.end).counted) for s in slices
    ]  # fmt: skip
    tables = {rows.table: rows for rows in captured.cells}
    cells = tables["pin_minutes"]
    rows = cells.tuples(("slice_block", "arrived_at", "minute", "surface", "platform", "pin_id", "events", "trusted"))
    assert {row[:-2]: row[-2] for row in rows} == sum((cells_of(s, s.counted(0)) for s in slices), Cells())
    assert {row[:-2]: row[-1] for row in rows if row[-1]} == sum((cells_of(s, s.trusted(0)) for s in slices), Cells())
    of_arms = tables.get("experiment_cells")
    found = list(of_arms.tuples(("slice_block", "arrived_at", *ARM, "events", "trusted"))) if of_arms else []
    assert {row[:-2]: row[-2] for row in found} == sum((arms_of(s, s.counted(OF_ARMS)) for s in slices), Arms())
    assert {row[:-2]: row[-1] for row in found if row[-1]} == sum(
        (arms_of(s, s.trusted(OF_ARMS)) for s in slices), Arms()
    )
    of_members = tables.get("arm_members")
    members = list(of_members.tuples(("slice_block", "arrived_at", *MEMBER, "events"))) if of_members else []
    assert {row[:-1]: row[-1] for row in members} == sum(map(members_of, slices), Members())
    assert [row.sums for row in captured.ledger] == [
        ({"pin_members": len(s.counted(0))} if users else {})
        | ({"arm_members": len(s.counted(OF_ARMS))} if users and experiments else {})
        | ({"experiment_cells": len(s.counted(OF_ARMS))} if experiments else {})
        for s in slices
    ]
    assert [(letter.offset, letter.timestamp, letter.outcome) for letter in captured.dead_letters] == [
        rejected[:3] for s in slices for rejected in s.rejected
    ]


@unhurried
@given(logs(), st.data())
def test_beginning_anywhere_that_retention_allows_gives_the_same_slices(
    log: tuple[list[Record], int], data: st.DataObject
) -> None:
    records, end = log
    start = records[0].offset if records else 0
    whole = recount(records, SliceStart(start, 0), start, end, [])
    places = [SliceStart(s.start, s.start_stream_time) for s in whole]
    log_start = data.draw(st.integers(start, end))
    wanted = data.draw(st.integers(start, end))
    found = beginning(places, log_start, RULES.slice_records, wanted, end)
    if found is None:
        return
    assert found.collect.offset >= log_start
    part = recount([r for r in records if r.offset >= found.collect.offset], found.collect, found.first.offset, end, [])
    assert plain(part) == plain(s for s in whole if s.start >= found.first.offset)


@unhurried
@given(logs(), st.data())
def test_the_state_at_a_position_is_the_recount_that_stops_there(
    log: tuple[list[Record], int], data: st.DataObject
) -> None:
    records, end = log
    start = records[0].offset if records else 0
    position = data.draw(st.integers(start, end))
    whole = recount(records, SliceStart(start, 0), start, end, [])
    part = recount([r for r in records if r.offset < position], SliceStart(start, 0), start, position, [])
    assert [(s.key, s.start, s.at(s.end)) for s in part] == [
        (s.key, s.start, s.at(min(position, s.end))) for s in whole if s.start < position
    ]
