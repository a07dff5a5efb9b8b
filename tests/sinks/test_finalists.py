"""Which pins can be among the top: whatever lists leave out, the top is among the finalists, or the bounds say no."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.sinks.reads.finalists import Candidate, Listed, finalists, top
from pintally.sinks.reads.ranking import Counts, Ranking

NONE = Listed(True, (0,))
PINS, PLACES = st.integers(1, 12), st.integers(0, 4)
# Of each list the counts of its pins, and how many of the heaviest it names.
LISTS = st.lists(st.tuples(st.dictionaries(PINS, st.integers(1, 9), max_size=12), PLACES), max_size=5)
ELSEWHERE = st.dictionaries(PINS, st.integers(1, 30), max_size=3)


def candidates(lists: list[tuple[dict[int, int], int]], elsewhere: dict[int, int]) -> tuple[list[Candidate], int]:
    """What the statements return, counted in another way: list by list. Candidates, and what another pin can have."""
    cut = [dict(sorted(pins.items(), key=lambda row: -row[1])[:places]) for pins, places in lists]
    rests = [
        max((n for pin, n in pins.items() if pin not in named), default=0)
        for (pins, _), named in zip(lists, cut, strict=True)
    ]
    found = []
    for pin in {pin for named in cut for pin in named} | elsewhere.keys():
        listed = sum(named.get(pin, 0) for named in cut)
        missing = [rest for named, rest in zip(cut, rests, strict=True) if pin not in named]
        low = listed + elsewhere.get(pin, 0)
        found.append(
            Candidate(pin, low, low + sum(missing), Listed(not any(missing), (listed,)), NONE, (low - listed,))
        )
    return sorted(found, key=lambda each: -each.up), sum(rests)


@given(LISTS, ELSEWHERE, st.integers(1, 14), st.integers(1, 20))
def test_the_top_is_among_the_finalists(
    lists: list[tuple[dict[int, int], int]], elsewhere: dict[int, int], k: int, limit: int
) -> None:
    sums = Counter(elsewhere)
    for pins, _ in lists:
        sums.update(pins)
    rows, unseen = candidates(lists, elsewhere)
    found = finalists(rows[:limit], unseen, k, limit)
    if found is not None:
        everybody = top(((pin, (n,)) for pin, n in sums.items()), k, Ranking())
        assert top(((each.pin_id, (sums[each.pin_id],)) for each in found), k, Ranking()) == everybody


@given(LISTS, st.integers(1, 14))
def test_lists_that_name_all_pins_are_enough(lists: list[tuple[dict[int, int], int]], k: int) -> None:
    assert finalists(*candidates([(pins, len(pins)) for pins, _ in lists], {}), k, 100) is not None


def candidate(pin: int, low: int, up: int) -> Candidate:
    return Candidate(pin, low, up, Listed(False, (low,)), NONE, (0,))


def test_a_pin_in_no_list_must_have_less_than_the_last_place_and_not_as_much() -> None:
    rows = [candidate(5, 9, 12), candidate(6, 7, 8)]
    assert finalists(rows, 7, 2, 10) is None
    assert finalists(rows, 6, 2, 10) == rows
    assert finalists(rows, 7, 1, 10) == rows[:1]


def test_a_pin_that_can_reach_the_last_place_is_a_finalist() -> None:
    rows = [candidate(5, 9, 12), candidate(6, 7, 9), candidate(4, 6, 8)]
    assert finalists(rows, 3, 1, 10) == rows[:2]


def test_more_finalists_than_were_asked_for_are_all_pins() -> None:
    assert finalists([candidate(5, 9, 12), candidate(6, 9, 12)], 3, 1, 2) is None


def test_equal_counts_are_in_order_of_pins_and_pins_without_any_are_left_out() -> None:
    sums: list[tuple[int, Counts]] = [(9, (1, 4)), (3, (4, 1)), (5, (5, 0)), (7, (6, 0))]
    assert [pin for pin, _ in top(iter(sums), 3, Ranking())] == [7, 3, 5]
    assert [pin for pin, _ in top(iter(sums), 3, Ranking(Action.CLICK))] == [9, 3]
