"""Whatever fails between the fold and the sink, and wherever: the ledger never claims what is not there."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.slices import Base
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.flush import Flusher
from tests.support.faulty_sink import STEPS, Fault, FaultySink, LetterTopics
from tests.support.logs import ACTION, SOURCE, Log, borders, chunk, ruled_logs
from tests.support.memory_sink import MemorySink

FAULTS = st.none() | st.builds(
    Fault, st.sampled_from(STEPS), st.just(lambda: SinkUnavailable("no answer")), st.booleans()
)


def flusher_of(sink: MemorySink, fold: SourceFold, lag: Callable[[], int]) -> Flusher:
    topics = LetterTopics()
    return Flusher(sink, DeadLetterTopics(lambda: topics), lambda: [fold], lambda _fold: lag(), 20)


@settings(deadline=None)
@given(ruled_logs(), st.data())
def test_after_any_failures_the_sink_has_what_it_would_have_without_them(
    log: tuple[Rules, Log], data: st.DataObject
) -> None:
    """C6 to C9 and C11: cells, ledger and dead letters, whatever steps failed before, applied or not."""
    rules, records = log
    faulty, calm = FaultySink(), FaultySink()
    faulty.starts = calm.starts = [StartRow(SOURCE, 0, 0, 0, rules.to_json())]
    lag = 0
    folds = [SourceFold(SOURCE, ACTION, rules, 0, Base(0, 0, 0, 0)) for _ in range(2)]
    tried, steady = (flusher_of(sink, fold, lambda: lag) for sink, fold in zip((faulty, calm), folds, strict=True))

    async def run() -> None:
        nonlocal lag
        for start, end in pairwise(data.draw(borders(records), "borders")):
            for fold in folds:
                fold.fold(chunk(records, start, end))
            faulty.fault, lag = data.draw(FAULTS, "fault"), data.draw(st.sampled_from([0, 10**9]), "lag")
            await tried.flush()
            check_ledger(faulty)
        faulty.fault, lag = None, 0
        assert await tried.flush()
        assert await steady.flush()

    asyncio.run(run())
    assert faulty.counts() == calm.counts()
    assert claims(faulty) == claims(calm)
    assert faulty.dead_letters == calm.dead_letters


def check_ledger(sink: FaultySink) -> None:
    """Each ledger row's counts are in the cells, and its dead letters in their table; later cells may be there too."""
    for (source, slice_block, arrived_at), row in sink.ledger.items():
        cells = [
            count for (s, b, a, *_), count in sink.counts().items() if (s, b, a) == (source, slice_block, arrived_at)
        ]
        assert sum(cells) >= row.cells_sum == row.outcomes.counted
        letters = [offset for _, offset in sink.dead_letters if row.start <= offset < row.position]
        assert len(letters) == row.outcomes.late + row.outcomes.invalid


def claims(sink: FaultySink) -> dict[tuple[int, ...], tuple[int, int, int]]:
    return {key: (row.start, row.position, row.cells_sum) for key, row in sink.ledger.items()}
