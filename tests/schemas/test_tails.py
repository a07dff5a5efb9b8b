"""What is learnt of tails, when, and by which of their characters they are the same."""

from typing import Any

import numpy as np

from pintally.schemas.decoding.columns import Mask
from pintally.schemas.decoding.jit import NUMBER, WORDS, compiled, words_of
from pintally.schemas.decoding.suffix import LESSONS, MAX_TAIL, MAX_TAILS, Tails, is_same


class Judge:
    """Says yes to all but what begins with an x; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def is_good(self, tail: bytes) -> bool:
        self.asked.append(tail)
        return not tail.startswith(b"x")


def find(known: Tails, run: list[bytes]) -> Mask:
    ends = np.cumsum([8 + len(tail) for tail in run])
    text = np.frombuffer(b"".join(bytes(8) + tail for tail in run), np.uint8)
    return known.find(text, ends - [len(tail) for tail in run], ends)


def test_each_tail_is_judged_once() -> None:
    judge = Judge()
    known = Tails(judge.is_good)
    for _ in range(3):
        assert find(known, [b"a", b"x", b"a", b"x", b"b" * 100, b"b" * 100]).tolist() == [True, False] * 2 + [True] * 2
    assert sorted(judge.asked) == [b"a", b"b" * 100, b"x"]


def test_a_tail_is_learnt_when_it_comes_again_and_found_from_then_on() -> None:
    known = Tails(Judge().is_good)
    assert not find(known, [b"a", b"b"]).any()
    assert find(known, [b"a", b"c"]).tolist() == [True, False]
    assert find(known, [b"d", b"a"]).tolist() == [False, True]


def test_what_is_too_long_is_not_learnt() -> None:
    known = Tails(Judge().is_good)
    assert not find(known, [b"y" * (MAX_TAIL + 1)] * 3).any()
    assert find(known, [b"y" * MAX_TAIL] * 2).all()


def test_no_tail_is_taken_for_another() -> None:
    known, rng = Tails(Judge().is_good), np.random.default_rng(1)
    for size in (1, 7, 8, 9, 15, 16, 17, 40):
        good = sorted({bytes(row) for row in rng.integers(0, 100, (LESSONS, size), np.uint8)})
        assert find(known, good * 2).all()
        assert find(known, good).all()
        others = [each[:at] + bytes([each[at] + 100]) + each[at + 1 :] for each in good for at in range(size)]
        others += [each + b"\0" for each in good] + [each[1:] for each in good if size > 1]
        assert not find(known, [each for each in others if each not in known._verdicts]).any()


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


@compiled(NUMBER, WORDS, NUMBER, WORDS, NUMBER, NUMBER)
def same(words: Any, start: int, others: Any, other: int, size: int) -> int:
    return is_same(words, start, others, other, size)


def test_only_bytes_that_are_all_the_same_are_the_same() -> None:
    text = np.arange(60, dtype=np.uint8)
    for size in range(1, 41):
        for start, other in ((8, 8), (8, 11)):
            others = np.zeros(60, np.uint8)
            others[other : other + size] = text[start : start + size]
            assert same(words_of(text), start, words_of(others), other, size)
            for at in range(other, other + size):
                others[at] ^= 0x80
                assert not same(words_of(text), start, words_of(others), other, size)
                others[at] ^= 0x80
