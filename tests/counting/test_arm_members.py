"""C36: members of arms, what they count, and which of them the sink does not know."""

from collections import Counter
from collections.abc import Sequence
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
from pintally.schemas.user_keys import UserKeys
from pintally.streams.counting.aggregates import ArmMembers, SliceVersion, counted_by, slice_arms
from pintally.streams.counting.aggregates.slice_arms import SliceArms
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import SliceId
from tests.counting.test_experiment_cells import OPS, Truth
from tests.counting.test_user_hash import PUBLISHED, sip_hash
from tests.support.cells import Counted, judged

Key = tuple[int, str, str, int]  # start of the hour, experiment, arm, hash of the user
AT = SliceVersion(Source("engagement.save.v1", UUID(int=1), 0), Action.SAVE, SliceId(0, 0), 0, 1)
KEYS = UserKeys.of(PUBLISHED)
RULES = Rules(user_key=KEYS.current, experiments=("*",))


def taken(members: ArmMembers) -> dict[Key, int]:
    rows = members.take_dirty(AT)
    assert set(rows.user_key.tolist()) <= {int(KEYS.current, 16)}
    found = rows.tuples(("hour", "experiment", "arm", "user_hash", "events"))
    values = {tuple(key): events for *key, events in found}
    assert len(values) == len(found)
    return values


def replay(ops: Sequence[list[Counted] | str], rules: Rules, named: int = 256) -> None:
    """Every take says all that changed since it was last known to the sink, with absolute counts."""
    members, names, decoder = ArmMembers(rules, keys=KEYS), Truth(rules, named), Labels()
    truth: Counter[Key] = Counter()
    dirty: set[Key] = set()
    in_flight: set[Key] | None = None
    for op in [*ops, "flushed", "take"]:
        if isinstance(op, list):
            members.add(judged(op, decoder), np.arange(len(op)))
            for each in op:
                for hour, experiment, arm, _ in names.add(each):
                    key = hour, experiment, arm, sip_hash(PUBLISHED, each.user.to_bytes(8, "little"))
                    truth[key] += 1
                    dirty.add(key)
        elif op == "new table":
            decoder = Labels()
            decoder.number("of another table")
        elif op == "take" and in_flight is None:
            assert taken(members) == {key: truth[key] for key in dirty}
            dirty, in_flight = set(), dirty
        elif op == "flushed" and in_flight is not None:
            members.mark_flushed()
            in_flight = None
        elif op == "back" and in_flight is not None:
            members.merge_back()
            dirty, in_flight = dirty | in_flight, None
        assert members.pending >= len(dirty | (in_flight or set()))
        assert members.sum == truth.total()


@given(OPS, st.sampled_from([("*",), ("feed",), ("nobody",)]), st.sampled_from([1, 3, 256]))
@settings(deadline=None)
def test_what_is_taken_is_all_that_changed_since_the_sink_last_knew(
    ops: list[list[Counted] | str], experiments: tuple[str, ...], named: int
) -> None:
    """C36, C6 and C7; `named` is the bound on arms, for slices that are too short to reach it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slice_arms, "MAX_SLICE_ARMS", named)
        patch.setattr(slice_arms, "MOST", 2)
        replay(ops, replace(RULES, experiments=experiments), named)


def test_only_rules_that_name_a_key_and_an_experiment_count_them() -> None:
    assert ArmMembers in counted_by(RULES)
    assert ArmMembers not in counted_by(RULES.without_users)
    assert ArmMembers not in counted_by(replace(RULES, experiments=()))


IN_A, IN_B = ((("feed", "a"),), (("feed", "b"),))
CHUNKS: list[list[Counted] | str] = [
    [Counted(0, 1, 7, None, None, IN_A)], "take", "flushed", [Counted(0, 1, 7, None, None, IN_B)]
]  # fmt: skip


def test_arms_that_are_numbered_by_chunk_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of C36."""
    replay(CHUNKS, RULES)
    add = ArmMembers.add

    def add_anew(members: ArmMembers, chunk: Judged, at: NDArray[np.intp]) -> None:
        members._arms = SliceArms(["*"])
        add(members, chunk, at)

    monkeypatch.setattr(ArmMembers, "add", add_anew)
    with pytest.raises(AssertionError):
        replay(CHUNKS, RULES)
