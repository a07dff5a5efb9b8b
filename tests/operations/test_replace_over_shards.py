"""A log that is moved while one shard is behind counts on all of them as if it had never moved, or is refused."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pintally.schemas.errors import Refusal
from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import Replacement, SliceSum
from pintally.schemas.rules import Rules
from pintally.schemas.shards import shard_of
from pintally.schemas.sources import Source
from pintally.sinks.maintained_shards import MaintainedShards
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.operations.change import copied, places
from pintally.streams.operations.change.copied import refuse_other_counts
from pintally.streams.operations.change.places import begin_at, offset_behind
from pintally.streams.operations.change.replace import plan_other_offsets, plan_same_offsets
from tests.operations.test_replace import KAFKA, NEW, Moving, cut_logs, never_moved, other_offsets, reading
from tests.support.logs import ACTION, PINS, SOURCE, Log
from tests.support.memory_sink import MemorySink


class OverShards(Moving):
    """Two shards, of which one is restored from a copy of its own."""

    sink: Any

    def __init__(self, rules: Rules, log: Log, earlier: int, position: int, behind: int) -> None:
        """Counted to a position; one shard only has what it had at an earlier one."""
        super().__init__(replace(rules, shards=2))
        self.shards = [MemorySink(), MemorySink()]
        self.sink = MaintainedShards(self.shards, furthest_behind)
        self.count(SOURCE, log, earlier)
        kept = copied_of(self.shards[behind])
        self.count(SOURCE, log, position)
        self.shards[behind].__dict__.update(kept)

    @property
    def sums_of(self) -> Callable[[Source], Mapping[tuple[int, int], SliceSum]]:
        def of(source: Source) -> Mapping[tuple[int, int], SliceSum]:
            with self.sink.session() as session:
                sums: Mapping[tuple[int, int], SliceSum] = session.slice_sums(source)
                return sums

        return of

    def events(self) -> Counter[tuple[int, int]]:
        found: Counter[tuple[int, int]] = Counter()
        for number, shard in enumerate(self.shards):
            for (_, _, _, _, minute, pin, *_), (_, count, _) in shard.cells.items():
                assert PLACES[pin] == number
                found[minute, pin] += count
        return +found

    def outcomes(self) -> Outcomes:
        first, second = (set(shard.ledger.values()) for shard in self.shards)
        assert first == second
        return replace(sum_of([row.outcomes for row in first]), gaps=0)


PLACES = dict(zip(PINS, shard_of(np.array(PINS, np.uint64), 2).tolist(), strict=True))


def copied_of(shard: MemorySink) -> dict[str, Any]:
    """All that a shard has."""
    tables = defaultdict(dict, {kind: dict(cells) for kind, cells in shard.tables.items()})
    others = {name: copy(getattr(shard, name)) for name in ("starts", "ledger", "dead_letters", "lost", "said")}
    return {**others, "tables": tables}


@given(cut_logs(wide=False), st.data())
def test_a_copy_with_the_same_offsets_is_counted_on_from_the_shard_that_is_behind(
    drawn: tuple[Rules, Log, int], data: st.DataObject
) -> None:
    rules, log, position = drawn
    moving = OverShards(rules, log, data.draw(st.integers(0, position)), position, data.draw(st.integers(0, 1)))
    ends = dict.fromkeys(range(SOURCE.partition + 1), Offsets(0, log.end, log.end))
    moving.carry_out(plan_same_offsets(moving.pair(), ends, 1, moving.sums_of, "same", ""))
    assert moving.shards[0].said == moving.shards[1].said != []
    moving.count(SOURCE, log, log.end)
    assert (moving.events(), moving.outcomes()) == never_moved(log, rules)


@given(cut_logs(wide=True), st.integers(0, 3), st.data())
def test_a_copy_with_other_offsets_is_counted_from_where_all_shards_have_counted(
    drawn: tuple[Rules, Log, int], shift: int, data: st.DataObject
) -> None:
    rules, log, position = drawn
    moving = OverShards(rules, log, data.draw(st.integers(0, position)), position, data.draw(st.integers(0, 1)))
    made, pair = other_offsets(log, shift), moving.pair()
    ledger, ends = pair.ledgers[SOURCE.partition], Offsets(shift, made.end, made.end)
    rows = follow(ledger).complete
    counted = sum(row.outcomes.total - row.outcomes.gaps for row in rows)
    read = reading(made)
    with patch.object(places, "read_chunks", read), patch.object(copied, "read_chunks", read):
        start = asyncio.run(offset_behind(KAFKA, NEW, ends, counted))
        if counted:
            with moving.sink.session() as session:
                old, new = (SOURCE, ledger), (NEW, shift, start)
                asyncio.run(refuse_other_counts(KAFKA, session, old, new, ACTION))
        begin = asyncio.run(begin_at(KAFKA, NEW, ends, start, rules.slice_records))
    how, begins = Replacement.COPIED, {SOURCE.partition: begin}
    moving.carry_out(plan_other_offsets(pair, how, begins, 1, moving.sums_of, "other", ""))
    moving.count(NEW, made, made.end)
    assert (moving.events(), moving.outcomes()) == never_moved(log, rules)


@given(cut_logs(wide=False), st.data())
def test_new_records_are_refused_until_all_shards_have_counted_the_old_topic(
    drawn: tuple[Rules, Log, int], data: st.DataObject
) -> None:
    rules, log, position = drawn
    assume(position)
    earlier = data.draw(st.integers(0, position - 1))
    moving = OverShards(rules, log, earlier, position, data.draw(st.integers(0, 1)))
    begins: Any = {SOURCE.partition: None}
    with pytest.raises(Refusal, match=r"is counted to (\d+) on shard 0, to (\d+) on shard 1"):
        plan_other_offsets(moving.pair(), Replacement.NEW_RECORDS, begins, 1, moving.sums_of, "said", "")
