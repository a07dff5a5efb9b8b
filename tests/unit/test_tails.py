"""What is learnt of tails, and when."""

import numpy as np

from schemas.columns import Mask
from schemas.tails import LESSONS, MAX_TAIL, MAX_TAILS, Tails


class Judge:
    """Says yes to all but what begins with an x; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def is_good(self, tail: bytes) -> bool:
        self.asked.append(tail)
        return not tail.startswith(b"x")


def find(known: Tails, run: list[bytes]) -> Mask:
    lengths = np.array([len(tail) for tail in run])
    text = np.frombuffer(b"".join((*run, bytes(MAX_TAIL))), np.uint8)
    return known.find(text, lengths.cumsum() - lengths, lengths)


def test_each_tail_is_judged_once() -> None:
    judge = Judge()
    known = Tails(judge.is_good)
    for _ in range(3):
        assert find(known, [b"a", b"x", b"a", b"x", b"b" * 100, b"b" * 100]).tolist() == [True, False] * 2 + [True] * 2
    assert sorted(judge.asked) == [b"a", b"b" * 100, b"x"]


def test_a_tail_is_learnt_when_it_occurs_twice_and_found_alone_from_then_on() -> None:
    known = Tails(Judge().is_good)
    assert not find(known, [b"a", b"b"]).any()
    assert find(known, [b"a", b"a"]).all()
    assert find(known, [b"a", b"b"]).tolist() == [True, False]


def test_what_is_too_long_or_empty_or_ends_in_zeros_is_not_found() -> None:
    known = Tails(Judge().is_good)
    assert not find(known, [b"", b"", b"y" * (MAX_TAIL + 1), b"y" * (MAX_TAIL + 1)]).any()
    assert find(known, [b"y" * MAX_TAIL] * 2 + [b"a"] * 2).all()
    assert not find(known, [b"a\0"]).any()


def test_a_run_teaches_no_more_than_its_lessons() -> None:
    judge = Judge()
    run = [b"%03d" % (i // 2) for i in range(8 * LESSONS)]
    assert np.count_nonzero(find(Tails(judge.is_good), run)) == 2 * LESSONS
    assert len(judge.asked) == LESSONS


def test_all_is_forgotten_when_there_is_no_room() -> None:
    judge = Judge()
    known = Tails(judge.is_good)
    for start in range(0, MAX_TAILS + LESSONS, LESSONS):
        run = [b"%05d" % (start + i) for i in range(LESSONS)] * 2
        assert find(known, run).all()
    assert find(known, [b"%05d" % MAX_TAILS]).all()
    assert not find(known, [b"00000"]).any()


def test_tails_with_the_same_hash_are_told_apart() -> None:
    known = Tails(Judge().is_good)
    for each in known._by_width:
        each._factors[:] = 0
    found = find(known, [b"a", b"a", b"b", b"b", b"x", b"x"])
    assert not found[4:].any()
    assert not find(known, [b"c", b"x"]).any()
