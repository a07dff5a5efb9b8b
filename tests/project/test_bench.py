"""The benchmark, without engines: what it counts, compares and computes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pkgutil import resolve_name

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import stages
from bench.cells import CELL, Cells, compare, count
from bench.fetches import make_fetches
from bench.measured import cpu_seconds, family, peak_bytes
from bench.recount import Recount
from bench.shapes import SHAPES, Shape
from bench.work import Flaws, Work, flawed
from tests.e2e.running import wait_for

START = 1_700_000_040_000  # a whole minute

cells = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 3), max_size=12).map(
    lambda counts: table(counts)
)


def table(counts: dict[tuple[int, int], int]) -> Cells:
    rows = sorted((minute * 60, pin, events) for (pin, minute), events in counts.items())
    return np.array([(pin, minute, events) for minute, pin, events in rows], CELL)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=30))
def test_cells_hold_each_event_once(events: list[tuple[int, int]]) -> None:
    found = count(np.array([pin for pin, _ in events], np.uint64), np.array([m for _, m in events], np.uint32))
    counts = {(int(cell["pin"]), int(cell["minute"])): int(cell["events"]) for cell in found}
    assert counts == {each: events.count(each) for each in events}


@given(cells, cells)
def test_a_comparison_names_every_wrong_cell_and_no_other(found: Cells, expected: Cells) -> None:
    def by_key(table: Cells) -> dict[tuple[int, int], int]:
        return {(int(cell["pin"]), int(cell["minute"])): int(cell["events"]) for cell in table}

    have, want = by_key(found), by_key(expected)
    wrong = sum(have.get(key) != want.get(key) for key in have.keys() | want.keys())
    assert compare(found, expected).wrong == wrong


def test_a_cell_that_is_there_twice_is_wrong() -> None:
    once = table({(1, 1): 2})
    assert compare(np.concatenate([once, once]), once).wrong == 1


def test_a_prefix_of_the_work_holds_the_same_events() -> None:
    work = Work(50_000, START, different_pins=500)
    whole = [value for slab in work.slabs() for value in slab.values]
    assert [value for slab in Work(90_000, START, different_pins=500).slabs(30_000) for value in slab.values] == whole[
        :30_000
    ]


def test_events_are_in_order_and_as_long_as_said() -> None:
    slabs = list(Work(40_000, START, different_pins=500).slabs())
    occurred = np.concatenate([slab.occurred for slab in slabs])
    assert (np.diff(occurred) >= 0).all()
    assert abs(np.mean([len(value) for slab in slabs for value in slab.values]) - 173) < 3


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_flaws_leave_the_counts_as_they_are(shape: Shape) -> None:
    work = Work(20_000, START, different_pins=500, shape=shape)
    clean, mended = Recount(), Recount()
    for slab in work.slabs():
        clean.add(slab.values)
    seen: set[bytes] = set()
    late = 0
    for slab in flawed(work, Flaws(duplicates=0.05, late=0.01, broken=0.01)):
        assert (np.diff(slab.occurred) >= 0).all()
        good = [value for value in slab.values if b'"pin_id"' in value]
        assert len(good) < len(slab.values)
        fresh = [value for value in dict.fromkeys(good) if value not in seen]
        assert len(fresh) < len(good)
        seen.update(fresh)
        times = [json.loads(value)["occurred_at"] for value in fresh]
        late += sum(at < START for at in times)
        mended.add(value for value, at in zip(fresh, times, strict=True) if at >= START)
    assert late > 100
    assert np.array_equal(clean.cells(), mended.cells())


def test_cpu_time_of_children_counts_while_they_run_and_when_they_have_ended() -> None:
    burn = (
        "import sys, time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nsys.stdin.readline()"
    )
    run = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}])"
    program = f"{run}; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            wait_for(lambda: cpu_seconds([child.pid]) >= 0.3, 60, "what the child's child burns")
            assert len(family(child.pid)) == 2
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
            assert family(child.pid) == [child.pid]
            assert cpu_seconds([child.pid]) >= 0.3
            assert peak_bytes([child.pid]) > 2**20
            assert cpu_seconds([child.pid, os.getpid()]) > cpu_seconds([child.pid])
        finally:
            child.kill()


def test_a_log_calls_the_function_of_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = [f"{module}:{name}" for _, module, name in stages.STAGES]
    for function in functions:
        monkeypatch.setattr(function.replace(":", "."), resolve_name(function))  # is put back after the test
    monkeypatch.setattr(stages, "STAGES", [(function, *function.split(":")) for function in functions])
    monkeypatch.setattr(stages, "FLUSH_EVENTS", 5_000)
    watch = stages.Stopwatch()
    watch.wrap()
    stages.fold_all(make_fetches(20_000, 1_000, 100_000))
    assert {function for function in functions if not watch.calls[function]} == {
        "pintally.streams.worker.flush:write",  # of a whole worker only
        "pintally.streams.counting.pending:Pending.end",  # the log ends before its first slice does
    }


def test_what_a_generator_does_is_in_its_stage() -> None:
    def busy() -> Iterator[int]:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        yield 1

    watch = stages.Stopwatch()
    assert [*watch.timed("letters", busy)()] == [1]
    assert watch.seconds["letters"] >= 0.05
