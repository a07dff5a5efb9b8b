"""C30: the table of users and pins counts exactly, whatever their hashes are, however it grows, and used again."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.streams.counting.aggregates import user_counts
from pintally.streams.counting.aggregates.user_counts import SMALLEST, UserCounts, give_back, take_table
from pintally.streams.counting.duplicates import KEYS, Keys

ALIKE = np.zeros(5, np.uint64)  # all hashes are 0
IDS = st.sampled_from([0, 1, 2, 2**32, 2**63, 2**64 - 1])
CALLS = st.lists(st.lists(st.tuples(IDS, IDS), max_size=20), max_size=8)


def trusted(table: UserCounts, pairs: list[tuple[int, int]], cap: int) -> list[bool]:
    users, pins = (np.array(column, np.uint64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    found = np.empty(len(pairs), np.bool_)
    table.add(users, pins, np.arange(len(pairs)), cap, found)
    return found.tolist()


def counted(seen: Counter[tuple[int, int]], pairs: list[tuple[int, int]], cap: int) -> list[bool]:
    found = []
    for pair in pairs:
        seen[pair] += 1
        found.append(seen[pair] <= cap)
    return found


@pytest.mark.parametrize("keys", [KEYS, ALIKE], ids=["keys", "all hashes alike"])
@given(calls=CALLS, cap=st.sampled_from([1, 2, 5, 2**32 + 1]))
@settings(deadline=None, max_examples=60)
def test_the_first_of_each_pair_are_trusted(keys: Keys, calls: list[list[tuple[int, int]]], cap: int) -> None:
    table, seen = UserCounts(keys), Counter[tuple[int, int]]()
    for _ in range(2):  # the second time in the memory of the first
        for pairs in calls:
            assert trusted(table, pairs, cap) == counted(seen, pairs, cap)
            assert len(table) == len(seen)
        table.clear()
        seen.clear()


def test_a_table_that_grows_forgets_nobody() -> None:
    rng = np.random.default_rng(1)
    table, seen = UserCounts(), Counter[tuple[int, int]]()
    for size in (1, SMALLEST, 3 * SMALLEST, 20_000):
        pairs = [(int(user), int(pin)) for user, pin in rng.integers(0, 90, (size, 2))]
        assert trusted(table, pairs, 2) == counted(seen, pairs, 2)
    assert len(table) == len(seen) > SMALLEST


def test_only_the_records_that_are_asked_for_are_counted() -> None:
    table, users = UserCounts(), np.array([1, 2, 1, 2], np.uint64)
    found = np.empty(2, np.bool_)
    table.add(users, users, np.array([1, 3]), 1, found)
    assert (found.tolist(), len(table)) == ([True, False], 1)


def test_a_slice_begins_in_the_memory_of_another_one_and_knows_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_counts, "_kept", [])
    table = take_table()
    assert trusted(table, [(7, 7)] * 3, 2) == [True, True, False]
    give_back(table)
    assert take_table() is table
    assert len(table) == 0
    assert trusted(table, [(7, 7)] * 3, 2) == [True, True, False]


def test_few_tables_wait_for_the_next_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_counts, "_kept", [])
    tables = [take_table() for _ in range(user_counts.KEPT + 3)]
    assert len(set(map(id, tables))) == len(tables)
    for each in tables:
        give_back(each)
    assert len(user_counts._kept) == user_counts.KEPT
