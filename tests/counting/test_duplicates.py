"""C2: who is a duplicate."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pintally.streams.counting.duplicates import KEYS, SMALLEST, SPARE, Keys, SeenIds

Call = tuple[int, int, list[tuple[int, int]]]  # block, bucket, ids

HALVES = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
IDS = st.lists(st.tuples(HALVES, HALVES), max_size=60)
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 1, 2, 3]), st.sampled_from([0, 0, 0, 1, 1, 2, 3]), IDS))
ALIKE = np.zeros(5, np.uint64)  # keys under which all ids have one hash
KEY = st.integers(0, 2**64 - 1)


def expected(calls: list[Call]) -> list[list[bool]]:
    """Every earlier record, looked at one by one."""
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    verdicts: list[list[bool]] = []
    for block, bucket, ids in calls:
        verdicts.append([])
        for one in ids:
            near = [b in (block, block - 1) and a in (bucket, bucket - 1) for b, a in seen.get(one, [])]
            verdicts[-1].append(any(near))
            seen.setdefault(one, []).append((block, bucket))
    return verdicts


def found(calls: list[Call], keys: Keys = KEYS) -> list[list[bool]]:
    seen = SeenIds(keys)
    return [seen.register(np.array(ids, np.uint64).reshape(-1, 2), b, a).tolist() for b, a, ids in calls]


def to_calls(steps: list[tuple[int, int, list[tuple[int, int]]]]) -> list[Call]:
    block = bucket = 0
    calls = []
    for more_blocks, more_buckets, ids in steps:
        block, bucket = block + more_blocks, bucket + more_buckets
        calls.append((block, bucket, ids))
    return calls


def numbers(count: int, below: int, seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(0, below, count).tolist()
    return drawn


@given(STEPS)
@settings(deadline=None)
def test_an_id_repeats_one_of_its_own_block_and_bucket_or_of_one_less_and_no_other(
    steps: list[tuple[int, int, list[tuple[int, int]]]],
) -> None:
    """C2, within calls and across them."""
    assert found(to_calls(steps)) == expected(to_calls(steps))


@given(STEPS, st.lists(KEY, min_size=5, max_size=5))
@example([(0, 0, [(0, 1), (1, 0), (0, 1)])], [0] * 5)
@settings(deadline=None)
def test_no_verdict_depends_on_the_keys(steps: list[tuple[int, int, list[tuple[int, int]]]], keys: list[int]) -> None:
    """C2: each process has its own, and all of them must count alike."""
    assert found(to_calls(steps), np.array(keys, np.uint64)) == expected(to_calls(steps))


@given(st.lists(st.tuples(HALVES, HALVES), max_size=200), st.lists(st.integers(0, 200), max_size=9))
@settings(deadline=None)
def test_where_calls_are_cut_changes_no_verdict(ids: list[tuple[int, int]], cuts: list[int]) -> None:
    """C2: a chunk's borders are the broker's affair."""
    halves, edges = np.array(ids, np.uint64).reshape(-1, 2), [0, *sorted(cuts), len(ids)]
    whole, parts = SeenIds(), SeenIds()
    for block, bucket in ((0, 0), (0, 1), (1, 1), (2, 3)):
        cut = [parts.register(halves[start:end], block, bucket) for start, end in pairwise(edges) if start <= end]
        assert np.concatenate(cut)[: len(ids)].tolist() == whole.register(halves, block, bucket).tolist()


def test_ids_that_all_begin_at_the_same_slot_with_the_same_tag_are_told_apart() -> None:
    """Exact over all 128 bits, also for whoever makes ids that collide."""
    rng = np.random.default_rng(5)
    calls: list[Call] = [(i // 3, i // 2, [(int(x), 0) for x in rng.integers(0, 60, 40)]) for i in range(9)]
    assert found(calls, ALIKE) == expected(calls)


@pytest.mark.parametrize("keys", [KEYS, ALIKE], ids=["keys", "all hashes alike"])
def test_ids_that_agree_in_one_half_are_told_apart(keys: Keys) -> None:
    """Exact over all 128 bits: each half decides alone."""
    some = numbers(300, 40, 7)
    ids = [id_ for x in some for id_ in ((x, 0), (0, x), (x, x), (x, 2**64 - 1), (x << 32, x), (x, x << 32))]
    calls: list[Call] = [(at // 900, at // 700, ids[at : at + 90]) for at in range(0, len(ids), 90)]
    assert found(calls, keys) == expected(calls)


def test_a_way_over_the_end_of_the_table_goes_on_at_its_start() -> None:
    """In the even and in the odd slots, which lie between each other."""
    over = 0
    calls: list[Call] = [(block, 0, [(x, block // 2) for x in range(30)] * 2) for block in range(4)]
    for key in range(2 * SMALLEST * SPARE):
        keys = np.array([key << 32, 0, 0, 0, 0], np.uint64)  # all ids begin at one slot, another one with each key
        seen = SeenIds(keys)
        seen.register(np.arange(10, dtype=np.uint64).reshape(5, 2), 0, 0)
        if seen._slots[0] and seen._slots[-2]:
            over += 1
            assert found(calls, keys) == expected(calls)
    assert over


@pytest.mark.parametrize("size", [1, 40, 1_000])
def test_thousands_of_ids_in_tables_that_grow_and_are_used_again(size: int) -> None:
    """C2, across growth, nine buckets and three blocks."""
    some = numbers(9_000, 4_000, size)
    calls: list[Call] = [
        (at // 3_000, at // 1_000, [(x, x << 32) for x in some[at : at + size]]) for at in range(0, 9_000, size)
    ]
    assert found(calls) == expected(calls)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("before", [0, 1, SMALLEST, 3 * SMALLEST])
@pytest.mark.parametrize("keys", [KEYS, ALIKE], ids=["keys", "all hashes alike"])
def test_growth_forgets_neither_block_nor_how_old_their_ids_are(keys: Keys, before: int, more: int) -> None:
    """C2, at each power of two: the block before has ids of two buckets, and some of them come twice."""
    at_first = [(x, 1) for x in range(before)]
    calls: list[Call] = [(0, 0, at_first), (0, 1, at_first[::3])]
    for ids, size in pairwise((0, SMALLEST, 2 * SMALLEST, 4 * SMALLEST)):  # the block fills up to `size + more`
        calls += [(1, 1, [(x, 2) for x in range(ids + (more if ids else 0), size + more)]), (1, 1, [])]
    calls += [(1, 2, at_first), (1, 2, [(x, 2) for x in range(4 * SMALLEST + 2)]), (2, 2, at_first)]
    assert found(calls, keys) == expected(calls)


@pytest.mark.parametrize("skipped", [1, 2, 3, 4])
@pytest.mark.parametrize("block", [1, 2])
def test_after_skipped_blocks_nothing_is_left_of_those_before_them(block: int, skipped: int) -> None:
    """C2: a block may hold only absent offsets, or invalid records; which slots a block has depends on its number."""
    ids = [(x, 0) for x in range(100)]
    then = block + 1 + skipped
    calls: list[Call] = [
        (block - 1, 0, ids[:60]),
        (block, 0, ids[30:80]),
        (then, 0, ids[::2]),
        (then + 1, 0, ids),
        (then + 1, 1, ids),
        (then + 2, 2, ids[::-1]),
        (then + 3, 4, ids),
    ]
    assert found(calls) == expected(calls)


def test_of_an_id_that_came_again_the_last_record_counts() -> None:
    """C2: else a third record, two buckets after the first, would be counted."""
    calls: list[Call] = [(0, bucket, [(1, 2), (3, bucket)]) for bucket in range(4)]
    assert found(calls) == [[False, False], [True, False], [True, False], [True, False]]


def test_ids_are_taken_read_only_and_from_every_other_row() -> None:
    """What a decoder hands out may be a view of more."""
    wide = np.arange(40, dtype=np.uint64).reshape(10, 4)
    views = [wide[:, :2], wide[::2, :2], np.asfortranarray(wide[:, :2])]
    fixed = np.ascontiguousarray(wide[:, :2])
    fixed.flags.writeable = False
    seen = SeenIds()
    assert not seen.register(fixed, 0, 0).any()
    for view in views:
        assert seen.register(view, 0, 0).all()


COUNT = 100_000
COUNTED_UP = np.arange(COUNT, dtype=np.uint64)
RANDOM = np.random.default_rng(11).integers(0, 2**64, COUNT, dtype=np.uint64)
MS = np.uint64(0x0197_0000_0000) + COUNTED_UP // np.uint64(20)
V7 = MS << np.uint64(16) | np.uint64(0x7000) | RANDOM & np.uint64(0xFFF)
TICKS = np.uint64(0x1EE_9E2A_5B1C_2D00) + COUNTED_UP * np.uint64(500)  # of 100 ns
V1 = (
    TICKS << np.uint64(32)
    | (TICKS >> np.uint64(16)) & np.uint64(0xFFFF0000)
    | np.uint64(0x1000)
    | TICKS >> np.uint64(48)
)
FIXED = np.full(COUNT, 0x8000_0242_AC11_0002, np.uint64)
HIGH, LOW = COUNTED_UP // np.uint64(450), COUNTED_UP % np.uint64(450)
DECIMAL = np.array([int(str(x), 16) for x in range(COUNT)], np.uint64)
KINDS = {
    "random": (RANDOM, RANDOM[::-1]),
    "time-ordered, version 7": (V7, RANDOM | np.uint64(2**63)),
    "time-ordered, version 1, of one computer": (V1, FIXED),
    "counted in the lower half": (np.zeros(COUNT, np.uint64), COUNTED_UP),
    "counted in the upper half": (COUNTED_UP, FIXED),
    "counted in both": (COUNTED_UP, COUNTED_UP),
    "counted in the highest bits": (COUNTED_UP << np.uint64(46), FIXED),
    "in the highest bits of both": (HIGH << np.uint64(55), LOW << np.uint64(55)),
    "in steps of a million": (FIXED, COUNTED_UP * np.uint64(10**6)),
    "in the last group of hexadecimal digits, as decimals": (FIXED, DECIMAL),
    "of one hash, were it a product that is known": (COUNTED_UP * np.uint64(0x9E3779B97F4A7C15), COUNTED_UP),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_every_kind_spread_as_well_as_random_ones(kind: str, seed: int) -> None:
    """An id's way leads through a run of taken slots. Of 100,000 random ids the longest run has some 10 to 17."""
    seen = SeenIds(np.random.default_rng(seed).integers(0, 2**64, 5, dtype=np.uint64))
    assert not seen.register(np.column_stack(KINDS[kind]), 0, 0).any()
    runs = runs_of(seen._slots[0::2] != 0)
    assert runs.sum() == COUNT
    assert (runs * runs).sum() / COUNT < 2, "slots in the run of an id, on average"
    assert runs.max() <= 40


def runs_of(taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the runs."""
    edges = np.diff(np.concatenate(([False], taken, [False])).astype(np.int8))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


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
