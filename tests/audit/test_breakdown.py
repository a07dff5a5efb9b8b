"""The label and the trust that the recount gives to each record, against code that takes one record after the other."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pintally.audit.cells import Cells
from pintally.audit.labels import KEPT, OTHER, UNKNOWN, Labels, counted_as, digest
from pintally.audit.slices import OFFSET, Slice
from pintally.audit.trusted import trusted
from tests.audit.test_recount import MINUTE, NOON, RULES, Record, event, plain, recount

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = [f"surface {number}" for number in range(KEPT + 40)]
SOME = st.sampled_from([None, None, "home", "search", OTHER, UNKNOWN, "Home", "home ", "\0", "ö", "o\u0308", "🧷" * 64])


class Slow(NamedTuple):
    """Labels of a slice, one record after the other."""

    seen: set[str]

    def label(self, label: str | None) -> str:
        if label is None:
            return UNKNOWN
        if label not in (OTHER, UNKNOWN) and label not in self.seen:
            if len(self.seen) == KEPT:
                return OTHER
            self.seen.add(label)
        return label


def slowly(labels: Sequence[str | None]) -> list[str]:
    slow = Slow(set())
    return [slow.label(label) for label in labels]


@unhurried
@given(st.lists(SOME | st.sampled_from(MANY), max_size=900), st.lists(SOME, max_size=20))
@example([*MANY, None, *MANY], [])
@example([OTHER, UNKNOWN, None, *MANY], MANY)
def test_the_first_256_labels_of_a_slice_keep_their_name(labels: list[str | None], before: list[str | None]) -> None:
    """`before`: labels of records that are not counted have numbers too."""
    numbered = Labels()
    numbered.numbers(before)
    found = counted_as(numbered, numbered.numbers(labels))
    assert [found.names[place] for place in found.places.tolist()] == slowly(labels)
    assert list(map(digest, found.names)) == sorted(map(digest, set(slowly(labels))))
    assert [found.name(label) for label in labels] == slowly(labels)


@unhurried
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=80), st.integers(0, 6))
def test_of_one_user_and_pin_the_first_ones_are_trusted(records: list[tuple[int, int]], cap: int) -> None:
    spread = [0, 1, 2**63, 2**64 - 1]
    pins, users = (np.array([spread[each[n]] for each in records], np.uint64) for n in (0, 1))
    before: Counter[tuple[int, int]] = Counter()
    expected = []
    for record in records:
        expected.append(cap == 0 or before[record] < cap)
        before[record] += 1
    assert trusted(pins, users, cap).tolist() == expected


def test_users_and_pins_with_equal_marks_are_not_taken_for_each_other() -> None:
    """A mark is pin times an odd number, xor user; so a pin and another one can be given the same."""
    factor, most = 0x9E3779B97F4A7C15, 2**64
    pins = [7, 8] * 4
    users = [1, (7 * factor % most) ^ 1 ^ (8 * factor % most)] * 4
    found = trusted(np.array(pins, np.uint64), np.array(users, np.uint64), 2)
    assert found.tolist() == [True, True, True, True, False, False, False, False]


def save(offset: int, label: str | None, user: int = 1, pin: int = 7, id: int | None = None, **more: int) -> Record:
    return Record(offset, NOON, saved(offset, label, user, pin, id, **more))


def saved(offset: int, label: str | None, user: int = 1, pin: int = 7, id: int | None = None, **more: int) -> bytes:
    return event(1000 + offset if id is None else id, pin=pin, user=user, surface=label, platform=None, **more)


def shown(cells: Cells) -> list[tuple[str, str, int, int, int]]:
    """Surface, platform, pin, counted, trusted of each cell."""
    names = {digest(name): name for labels in cells.labels for name in labels.names}
    _, _, surfaces, platforms, pins = (column.tolist() for column in cells.keys)
    counts = cells.counts.tolist(), cells.trusted_counts.tolist()
    rows = zip([names[key] for key in surfaces], [names[key] for key in platforms], pins, *counts, strict=True)
    return sorted(rows)


def test_a_cell_has_the_labels_of_its_events_and_how_many_of_them_are_trusted() -> None:
    rules = replace(RULES, slice_records=100, trusted_cap=2)
    labels = ["home", "home", None, "search", "home"]
    [only] = recount([save(n, label) for n, label in enumerate(labels)], 5, rules)
    assert shown(only.cells[0]) == [
        ("home", UNKNOWN, 7, 3, 2),
        ("search", UNKNOWN, 7, 1, 0),
        (UNKNOWN, UNKNOWN, 7, 1, 0),
    ]


def test_labels_and_trust_begin_anew_with_each_slice() -> None:
    rules = replace(RULES, slice_records=3, trusted_cap=1)
    slices = recount([save(n, str(n % 2)) for n in range(6)], 6, rules)
    assert [shown(slice_.cells[0]) for slice_ in slices] == [
        [("0", UNKNOWN, 7, 2, 1), ("1", UNKNOWN, 7, 1, 0)],
        [("0", UNKNOWN, 7, 1, 0), ("1", UNKNOWN, 7, 2, 1)],
    ]


def test_records_that_are_not_counted_take_no_label_and_no_trust() -> None:
    rules = replace(RULES, slice_records=2000, trusted_cap=1)
    broken = [Record(n, NOON, saved(n, f"no event {n}")[:-1] + b",}") for n in range(KEPT)]
    late = [save(KEPT + n, f"late {n}", occurred_at=NOON - 5000 * MINUTE) for n in range(KEPT)]
    first = [save(2 * KEPT, "first", id=1)]
    twice = [save(2 * KEPT + 1 + n, f"twice {n}", id=1) for n in range(KEPT)]
    own = [save(3 * KEPT + 1 + n, f"own {n}", user=2 + n) for n in range(KEPT)]
    [only] = recount([*broken, *late, *first, *twice, *own], 5 * KEPT, rules)
    expected = [("first", UNKNOWN, 7, 1, 1), *((f"own {n}", UNKNOWN, 7, 1, 1) for n in range(KEPT - 1))]
    assert shown(only.cells[0]) == sorted([*expected, (OTHER, UNKNOWN, 7, 1, 1)])


def test_without_a_breakdown_both_labels_are_unknown() -> None:
    rules = replace(RULES, breakdown=False, trusted_cap=0)
    [only] = recount([save(n, "home") for n in range(9)], 9, rules)
    assert shown(only.cells[0]) == [(UNKNOWN, UNKNOWN, 7, 9, 9)]


many = st.lists(st.sampled_from(MANY), min_size=KEPT, max_size=700)
few = settings(unhurried, max_examples=25)


@few
@given(many, st.sets(st.integers(1, 700), max_size=6), st.data())
def test_labels_and_trust_are_the_same_wherever_the_log_is_cut(
    labels: list[str], borders: set[int], data: st.DataObject
) -> None:
    users = data.draw(st.integers(1, 3))
    records = [save(n, label, user=n % users) for n, label in enumerate(labels)]
    rules = replace(RULES, slice_records=data.draw(st.sampled_from([300, 1000])))
    cut = sorted(border for border in borders if border < len(labels))
    assert plain(recount(records, len(labels), rules, borders=cut)) == plain(recount(records, len(labels), rules))


@few
@given(st.integers(0, 700), many)
def test_what_is_counted_below_an_offset_never_depends_on_what_comes_after(position: int, labels: list[str]) -> None:
    """So a row of any flush can be judged by its version alone."""
    rules = replace(RULES, slice_records=1000)
    records = [save(n, label, user=n % 3) for n, label in enumerate(labels)]
    [whole], part = recount(records, len(labels), rules), recount(records[:position], min(position, len(labels)), rules)
    for counted in (Slice.counted, Slice.trusted):
        below = [number for number in counted(whole, 0) if number & OFFSET < position]
        assert [number for slice_ in part for number in counted(slice_, 0)] == below


def test_the_same_label_written_with_escapes_is_one_label() -> None:
    plain, escaped = save(0, "home"), save(1, "home")
    assert escaped.value
    written = Record(1, NOON, escaped.value.replace(b'"home"', b'"\\u0068ome"'))
    [only] = recount([plain, written], 2)
    assert shown(only.cells[0]) == [("home", UNKNOWN, 7, 2, 2)]
