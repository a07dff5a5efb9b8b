"""C17: a gap between two answered heartbeats above the session time-out ends the process."""

from pintally.streams.worker.session_watch import SessionWatch


def gaps(answers: list[float], session: float = 10.0) -> list[float]:
    expired: list[float] = []
    watch = SessionWatch(session, expired.append)
    for now in answers:
        watch.answered(now)
    return expired


def test_regular_answers_never_end_a_worker() -> None:
    assert gaps([0, 3, 6, 9, 19]) == []


def test_one_gap_above_the_session_ends_it() -> None:
    assert gaps([0, 3, 13.5]) == [10.5]


def test_the_first_answer_has_no_gap() -> None:
    assert gaps([1e9]) == []


def test_a_pause_is_noticed_even_when_the_next_answers_are_regular() -> None:
    assert gaps([0, 60, 61, 62]) == [60]
