"""Changes of rules over shards: a crash between any two steps on any of them, once or twice, and
another run end as one run would have; each shard then says what one server would of its pins."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from pintally.schemas.rows import SourceLedger, StartRow, version_of
from pintally.schemas.shards import shard_of
from pintally.schemas.sources import Source
from pintally.sinks import shards as sharded
from pintally.sinks.maintained_shards import MaintainedShards, MaintainedShardsSession
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting import shards as recovering
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.rules import plan_rules
from tests.controls.switch import replaced
from tests.operations.test_epoch_starts import LATER, NEW, ONE, OTHER, RULES, Crash, T, letter, row_of
from tests.support.cells import cells
from tests.support.memory_sink import MemorySession, MemorySink

STEPS = 17  # more than there are
PINS = [int(np.flatnonzero(shard_of(np.arange(99, dtype=np.uint64), 2) == number)[0]) for number in (0, 1)]
OLD_RULES, NEW_RULES = replace(RULES, shards=2), replace(LATER, shards=2)


@pytest.fixture(autouse=True, params=[1, -1], ids=["shard 0 first", "shard 1 first"])
def in_turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Shards take a step in this order, whatever becomes of the others: as side by side, but the same in each run."""

    def steps_of(steps: Sequence[Callable[[], Any]]) -> list[Any]:
        ends = [_end_of(step) for step in steps[:: request.param]][:: request.param]
        if any(crashed := [end for end in ends if isinstance(end, Crash)]):
            raise crashed[0]
        return ends

    with replaced((sharded, "side_by_side", steps_of)):
        yield


def _end_of(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Crash as crash:
        return crash


class CrashingShard(MemorySession):
    """Goes on for some steps that change something; all shards count the same steps."""

    def __init__(self, sink: MemorySink, left: list[int]) -> None:
        super().__init__(sink)
        self.left = left

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("write_", "delete_", "reopen_", "forget")):
            if self.left[0] == 0:
                raise Crash
            self.left[0] -= 1
        return super().__getattribute__(name)


class Shard(MemorySink):
    """One of the servers of a process that ends after some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.left = [10**6]

    def open_session(self) -> MemorySession:
        return CrashingShard(self, self.left)


@contextmanager
def maintaining(shards: Sequence[Shard], steps: int) -> Iterator[MaintenanceSession]:
    left = [steps]
    for shard in shards:
        shard.left = left
    with MaintainedShards(shards, furthest_behind).session() as session:
        yield session


def counted(ahead: int) -> list[Shard]:
    """Shard `ahead` has flushes that the other lacks, as after that one was restored."""
    shards = [Shard(), Shard()]
    with maintaining(shards, 10**6) as session:
        count(session)
    with shards[ahead].session() as alone:
        write(alone, ONE, 1, 200, PINS[ahead : ahead + 1])
        write(alone, ONE, 2, 230, PINS[ahead : ahead + 1])
    return shards


def count(session: MaintenanceSession) -> None:
    """Two sources with a complete and an unfinished slice each."""
    for source in (ONE, OTHER):
        session.write_starts([StartRow(source, 0, 0, T, OLD_RULES.to_json())])
        for slice_block, position in ((0, 100), (1, 150)):
            write(session, source, slice_block, position)


def write(
    session: MaintenanceSession, source: Source, slice_block: int, position: int, pins: Sequence[int] = PINS
) -> None:
    """A flush: half of the events are of a pin on each shard."""
    half = (position - slice_block * 100) // 2
    at = (source.id, slice_block, T // 1000, 1, T // 1000)
    session.write_cells(cells(*((*at, pin, half, version_of(0, position)) for pin in pins)))
    session.write_dead_letters([letter(source, position - 1)] if len(pins) > 1 else [])
    session.write_ledger([replace(row_of(source, slice_block, position), rules=OLD_RULES.fingerprint)])


def ledgers(session: MaintenanceSession) -> dict[Source, SourceLedger]:
    return dict(session.read_ledgers([ONE, OTHER, NEW]))


def rules(session: MaintenanceSession) -> Change:
    offsets = dict.fromkeys((ONE, OTHER, NEW), Offsets(0, 300, 300))
    return plan_rules(lambda _: NEW_RULES, ledgers(session), offsets, {}, session.slice_sums)


def state(shards: Sequence[MemorySink]) -> list[tuple[Any, ...]]:
    return [
        (set(shard.starts), shard.cells, shard.ledger, shard.dead_letters, set(shard.lost), set(shard.said))
        for shard in shards
    ]


def run(shards: Sequence[Shard], steps: int) -> bool:
    """Change the rules; whether it came to its end."""
    with suppress(Crash), maintaining(shards, steps) as session:
        apply_change(session, rules(session))
        return True
    return False


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_crash_anywhere_on_any_shard_and_another_run_end_as_one_run_does(ahead: int) -> None:
    whole = counted(ahead)
    assert run(whole, STEPS)
    assert state(whole) != state(counted(ahead))
    for first, second in product(range(STEPS), repeat=2):
        assert state(after(ahead, first, second)) == state(whole), f"after {first} and {second} steps"
    assert not run(counted(ahead), 5), "some run crashes"


def after(ahead: int, *steps: int) -> list[Shard]:
    """What shards have after runs of so many steps, and one to the end."""
    shards = counted(ahead)
    for each in steps:
        run(shards, each)
    assert run(shards, STEPS)
    return shards


@pytest.mark.parametrize("ahead", [0, 1])
def test_each_shard_has_what_one_server_has_of_its_pins_after_the_same_change(ahead: int) -> None:
    shards, one = after(ahead), [Shard(), Shard()]
    with one[0].session() as session:
        count(session)
        apply_change(session, rules(session))
    for number, shard in enumerate(shards):
        own = {key: value for key, value in one[0].cells.items() if key[5] == PINS[number]}
        assert shard.cells == own != {}
        assert (set(shard.starts), shard.ledger) == (set(one[0].starts), one[0].ledger)
        chains = [follow(ledger) for ledger in ledgers(shard.open_session()).values()]
        assert [chain.hole for chain in chains] == [None] * 3
    assert shards[0].dead_letters == one[0].dead_letters
    assert not shards[1].dead_letters


CONTROLS: dict[str, Callable[[], Any]] = {
    "from the slice of the shard that is furthest ahead": lambda: replaced(
        (sys.modules[__name__], "furthest_behind", lambda ledgers: max(ledgers, key=recovering._flushed))
    ),
    "superseded rows are deleted on shard 0 alone": lambda: replaced(
        (MaintainedShardsSession, "delete_superseded", lambda self: self._each[0].delete_superseded())
    ),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_shards_differ(name: str) -> None:
    right = [state(after(ahead)) for ahead in (0, 1)]
    with CONTROLS[name]():
        assert any(state(after(ahead, steps)) != right[ahead] for ahead in (0, 1) for steps in range(STEPS))
