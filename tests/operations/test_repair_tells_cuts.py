"""`repair` tells which sources have not reached the newest cut."""

from pintally.audit.words import utc
from tests.audit.test_verify import RECORDS, Flusher, cut_at, flusher, hurried, settings  # noqa: F401 - fixtures
from tests.operations.test_repair_on_engines import repair_all


def test_sources_that_have_not_reached_the_newest_cut_are_told(flusher: Flusher) -> None:  # noqa: F811
    """As after the ledger was restored from a copy that is older than the cuts."""
    flusher.produce()
    flusher.flush(until=500)
    assert repair_all(flusher).before_cut == [], "there is no cut"
    cut_at(flusher, 20)
    assert repair_all(flusher).before_cut == [], "it has passed the cut"
    cut = cut_at(flusher, 500)
    [told] = repair_all(flusher).before_cut
    assert told.startswith(f"{flusher.source} is counted to ")
    assert told.endswith(f"the newest cut is {utc(cut)}")
    flusher.flush()
    cut_at(flusher, RECORDS - 1)
    assert repair_all(flusher).before_cut == [], "it has passed one cut, and is idle at the other"
