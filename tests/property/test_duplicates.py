"""Rule 2: who is a duplicate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import duplicates
from streams.duplicates import SeenIds

Call = tuple[int, int, list[tuple[int, int]]]  # block, bucket, ids

HALVES = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
IDS = st.lists(st.tuples(HALVES, HALVES), max_size=60)
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 1, 2, 3]), st.sampled_from([0, 0, 0, 1, 1, 2, 3]), IDS))


def expected(calls: list[Call]) -> list[list[bool]]:
    """Every earlier record, looked at one by one."""
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    verdicts = []
    for block, bucket, ids in calls:
        verdicts.append([])
        for one in ids:
            near = [b in (block, block - 1) and a in (bucket, bucket - 1) for b, a in seen.get(one, [])]
            verdicts[-1].append(any(near))
            seen.setdefault(one, []).append((block, bucket))
    return verdicts


def found(calls: list[Call]) -> list[list[bool]]:
    seen = SeenIds()
    return [seen.register(np.array(ids, np.uint64).reshape(-1, 2), b, a).tolist() for b, a, ids in calls]


def to_calls(steps: list[tuple[int, int, list[tuple[int, int]]]]) -> list[Call]:
    block = bucket = 0
    calls = []
    for more_blocks, more_buckets, ids in steps:
        block, bucket = block + more_blocks, bucket + more_buckets
        calls.append((block, bucket, ids))
    return calls


@given(STEPS)
@settings(deadline=None)
def test_an_id_repeats_one_of_its_own_block_and_bucket_or_of_one_less_and_no_other(
    steps: list[tuple[int, int, list[tuple[int, int]]]],
) -> None:
    """Rule 2, within calls and across them."""
    assert found(to_calls(steps)) == expected(to_calls(steps))


@given(STEPS, st.sampled_from([0, 3, 1000]))
@settings(deadline=None)
def test_rounds_of_numpy_and_plain_steps_reach_the_same_verdicts(
    steps: list[tuple[int, int, list[tuple[int, int]]]], few: int
) -> None:
    """Rule 2: how many ids a call has decides which way is taken, and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "FEW", few)
        assert found(to_calls(steps)) == expected(to_calls(steps))


@pytest.mark.parametrize("few", [0, 16])
def test_ids_that_all_begin_at_the_same_slot_with_the_same_tag_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Exact over all 128 bits, also for whoever makes ids that collide."""
    monkeypatch.setattr(duplicates, "_hash", lambda ids: np.zeros(len(ids), np.uint64))
    monkeypatch.setattr(duplicates, "FEW", few)
    rng = np.random.default_rng(5)
    calls: list[Call] = [(i // 3, i // 2, [(int(x), 0) for x in rng.integers(0, 60, 40)]) for i in range(9)]
    assert found(calls) == expected(calls)


@pytest.mark.parametrize("size", [1, 40, 1_000])
def test_thousands_of_ids_in_tables_that_grow_and_are_used_again(size: int) -> None:
    """Rule 2, across growth, nine buckets and three blocks."""
    numbers = np.random.default_rng(size).integers(0, 4_000, 9_000).tolist()
    calls: list[Call] = [
        (at // 3_000, at // 1_000, [(x, x << 32) for x in numbers[at : at + size]]) for at in range(0, 9_000, size)
    ]
    assert found(calls) == expected(calls)


def test_an_id_costs_at_most_forty_bytes_in_full_blocks() -> None:
    seen = SeenIds()
    ids = np.random.default_rng(1).integers(0, 2**63, (500_000, 2)).astype(np.uint64)
    for at in range(0, 500_000, 50_000):
        assert not seen.register(ids[at : at + 50_000], at // 250_000, 7).any()
    assert seen.nbytes <= 40 * len(ids)
    assert seen.register(ids[450_000:], 1, 7).all()
    before = seen.nbytes
    assert not seen.register(ids[:50_000] + np.uint64(1), 2, 7).any()
    assert seen.nbytes == before, "tables are used again"
