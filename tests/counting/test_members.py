"""C31: members, what they count, and which of them the sink does not know."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import UserKeyMissing, UserKeys
from pintally.streams.counting.aggregates import PinMembers, PinMinutes, SliceVersion, counted_by, member_table
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import SliceId
from tests.counting.test_cells import RECORDS
from tests.counting.test_user_hash import OTHER, PUBLISHED, sip_hash
from tests.support.cells import Counted, judged
from tests.support.reference import SliceCells

Key = tuple[int, int, str, int]  # hour, pin, surface, hash of the user
AT = SliceVersion(Source("engagement.save.v1", UUID(int=1), 0), Action.SAVE, SliceId(0, 0), 0, 1)
KEYS = UserKeys.of(PUBLISHED)
RULES = Rules(user_key=KEYS.current)
OPS = st.lists(st.one_of(RECORDS, st.sampled_from(["take", "flushed", "back", "new table"])), max_size=25)


def taken(members: PinMembers) -> dict[Key, tuple[int, int]]:
    """Events and trusted events of the dirty ones."""
    rows = members.take_dirty(AT)
    assert set(rows.user_key.tolist()) <= {int(KEYS.current, 16)}
    assert set(rows.action.tolist()) <= {Action.SAVE}
    found = rows.tuples(("hour", "pin_id", "surface", "user_hash", "events", "trusted"))
    values = {(hour // 3600, *key): (events, trusted) for hour, *key, events, trusted in found}
    assert len(values) == len(found)
    return values


def replay(ops: Sequence[list[Counted] | str], rules: Rules) -> None:
    """The same in dicts; every take says all that changed since it was last known to the sink."""
    minutes, members, labels, decoder = PinMinutes(rules), PinMembers(rules, keys=KEYS), SliceCells(rules), Labels()
    truth: Counter[Key] = Counter()
    trusted: Counter[Key] = Counter()
    dirty: set[Key] = set()
    in_flight: set[Key] | None = None
    for op in [*ops, "flushed", "take"]:
        if isinstance(op, list):
            chunk = judged(op, decoder)
            minutes.add(chunk, np.arange(len(op)))
            members.add(chunk, np.arange(len(op)))
            for each in op:
                (_, _, surface, _), is_trusted = labels.place(
                    each.minute, each.pin, each.user, each.surface, each.platform
                )
                key = each.minute // 60, each.pin, surface, sip_hash(PUBLISHED, each.user.to_bytes(8, "little"))
                truth[key] += 1
                trusted[key] += is_trusted
                dirty.add(key)
        elif op == "new table":
            decoder = Labels()
        elif op == "take" and in_flight is None:
            assert taken(members) == {key: (truth[key], trusted[key]) for key in dirty}
            assert members.sum == truth.total()
            dirty, in_flight = set(), dirty
        elif op == "flushed" and in_flight is not None:
            members.mark_flushed()
            in_flight = None
        elif op == "back" and in_flight is not None:
            members.merge_back()
            dirty, in_flight = dirty | in_flight, None
        assert members.pending >= len(dirty | (in_flight or set()))


@given(OPS, st.booleans(), st.sampled_from([0, 1, 2]))
@settings(deadline=None)
def test_what_is_taken_is_all_that_changed_since_the_sink_last_knew(
    ops: list[list[Counted] | str], named: bool, cap: int
) -> None:
    """C31, C6 and C7: of each member the records so far, however it was flushed in between."""
    replay(ops, replace(RULES, breakdown=named, trusted_cap=cap))


@given(OPS)
@settings(deadline=None, max_examples=40)
def test_a_table_that_grows_loses_no_member(ops: list[list[Counted] | str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member_table, "SMALLEST", 1)
        replay(ops, RULES)


def test_many_members_are_told_apart_and_end_with_thirty_three_bytes_each() -> None:
    rng = np.random.default_rng(3)
    members, n = PinMembers(RULES, keys=KEYS), 250_000
    pins, users, minutes = rng.integers(0, 900, n), rng.integers(0, 900, n), rng.integers(28_000_000, 28_000_080, n)
    blank = judged([Counted(0, 0)] * 5_000)
    for at in range(0, n, 5_000):
        part = slice(at, at + 5_000)
        named = replace(blank.decoded, pin_id=pins[part].astype(np.uint64), user_id=users[part].astype(np.uint64))
        members.add(replace(blank, minutes=minutes[part], decoded=named), np.arange(5_000))
    members.end()
    distinct = len(set(zip(pins.tolist(), users.tolist(), (minutes // 60).tolist(), strict=True)))
    assert members.nbytes == 33 * distinct
    assert len(taken(members)) == distinct
    assert members.sum == n


def test_only_rules_that_name_a_key_count_members() -> None:
    assert PinMembers in counted_by(RULES)
    assert PinMembers not in counted_by(RULES.without_users)
    assert PinMembers not in counted_by(Rules())


def test_a_key_that_is_not_there_is_named() -> None:
    with pytest.raises(UserKeyMissing, match=KEYS.current):
        PinMembers(RULES, keys=UserKeys.of(OTHER))


CHUNKS: list[list[Counted] | str] = [[Counted(0, 1, 7)], "take", "flushed", [Counted(0, 1, 7)]]


def test_counts_that_begin_anew_with_each_chunk_or_flush_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Controls of C31."""
    rules = replace(RULES, trusted_cap=1)
    replay(CHUNKS, rules)
    add, flushed = PinMembers.add, PinMembers.mark_flushed

    def add_anew(members: PinMembers, chunk: Judged, at: NDArray[np.intp]) -> None:
        members._table = member_table.MemberTable()
        add(members, chunk, at)

    def forget(members: PinMembers) -> None:
        flushed(members)
        members._table = member_table.MemberTable()

    changes: tuple[tuple[type, str, Callable[..., object]], ...] = (
        (PinMembers, "add", add_anew),
        (PinMembers, "mark_flushed", forget),
        (PinMinutes, "add", lambda *_: None),  # every record is trusted
    )
    for of, name, change in changes:
        with monkeypatch.context() as patch:
            patch.setattr(of, name, change)
            with pytest.raises(AssertionError):
                replay(CHUNKS, rules)
