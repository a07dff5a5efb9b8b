"""Several servers that share the pins: exact under any faults, and without each protection wrong."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.cells import CELL_TABLES, ArmMemberRows, ExperimentRows, PinMinuteRows
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.shards import shard_of, split
from pintally.sinks import shards as sharded
from pintally.sinks.shards import ShardedSession, ShardedSink
from pintally.streams.counting import fold
from pintally.streams.counting import shards as recovering
from pintally.streams.counting.aggregates import slice_arms, slice_labels
from pintally.streams.counting.shards import furthest_behind
from tests.controls.switch import replaced
from tests.counting import shard_world
from tests.counting.shard_world import first_failure
from tests.simulation.logs import NAMED, decode_before
from tests.support.logs import SOURCE
from tests.support.memory_sink import MemorySink

SEEDS, AT_MOST = range(400), range(2000)


@pytest.fixture(autouse=True)
def small_logs() -> Iterator[None]:
    """Logs are decoded once, and a slice names few labels and arms."""
    few = (slice_labels, "MAX_SLICE_LABELS", NAMED), (slice_arms, "MAX_SLICE_ARMS", NAMED)
    with replaced((fold, "decode_by_rule", decode_before), *few):
        yield


def test_counts_are_exact_on_all_shards_whatever_fails_on_one_of_them() -> None:
    """C33 to C35: lost, halved, unanswered and late inserts, crashes, two workers at once, shards restored alone."""
    assert first_failure(SEEDS) is None


def _ledger_first(self: Any, *tables: Any) -> None:
    self.held = tables


def _cells_last(self: Any, rows: Sequence[Any]) -> None:
    for session in self._sessions:
        session.write_ledger(rows)
    parts = [split(each, len(self._sessions)) for each in self.held]
    for session, of_shard in zip(self._sessions, zip(*parts, strict=True), strict=True):
        session.write_cells(*of_shard)


def _on_shard_0(self: ShardedSession, rows: Sequence[Any]) -> None:
    self._sessions[0].write_ledger(rows)


def _of_shard_0(self: ShardedSession, *asked: Any) -> Any:
    return self._sessions[0].read_back(*asked)


def _ledgers_of_shard_0(self: ShardedSession, *asked: Any) -> Any:
    return self._sessions[0].read_ledgers(*asked)


def _arms_on_each(rows: Any, shards: int) -> list[Any]:
    """As if each shard had the arms of what it was told: all of them on each."""
    return [rows] * shards if "pin_id" not in rows.key else split(rows, shards)


def _by_position(rows: Any, shards: int) -> list[Any]:
    """As round-robin would: another shard for each flush."""
    turn = int(rows.version.max()) % shards if len(rows) else 0
    return [rows.select(slice(None) if number == turn else slice(0)) for number in range(shards)]


CONTROLS: dict[str, Callable[[], Any]] = {
    "ledger before cells": lambda: replaced(
        (ShardedSession, "write_cells", _ledger_first), (ShardedSession, "write_ledger", _cells_last)
    ),
    "one ledger, on shard 0": lambda: replaced(
        (ShardedSession, "write_ledger", _on_shard_0),
        (ShardedSession, "read_back", _of_shard_0),
        (ShardedSession, "read_ledgers", _ledgers_of_shard_0),
    ),
    "recovery from the shard furthest ahead": lambda: replaced(
        (shard_world, "furthest_behind", lambda ledgers: max(ledgers, key=recovering._flushed))
    ),
    "read-back of shard 0 alone": lambda: replaced((ShardedSession, "read_back", _of_shard_0)),
    "a shard by the flush, not by the pin": lambda: replaced((sharded, "split", _by_position)),
    "arms of experiments on each shard": lambda: replaced((sharded, "split", _arms_on_each)),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_counts_are_wrong(name: str) -> None:
    with CONTROLS[name]():
        assert first_failure(AT_MOST) is not None


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.integers(1, 7))
def test_each_cell_is_on_one_shard_and_equal_pins_are_together(pins: list[int], shards: int) -> None:
    rows = PinMinuteRows.of([_column(name, pins) for name in PinMinuteRows.columns()])
    parts = split(rows, shards)
    assert sorted(pin for part in parts for pin in part.tuples(["pin_id"])) == sorted((pin,) for pin in pins)
    at = [{pin for (pin,) in part.tuples(["pin_id"])} for part in parts]
    assert sum(map(len, at)) == len(set(pins))
    assert all(shard_of(part.pin_id, shards).tolist() == [n] * len(part) for n, part in enumerate(parts))


def _column(name: str, pins: list[int]) -> Any:
    from pintally.schemas.label_column import LabelColumn

    if name == "pin_id":
        return np.array(pins, np.uint64)
    kind = PinMinuteRows.columns()[name]
    return LabelColumn.of(["a"] * len(pins)) if kind is LabelColumn else np.zeros(len(pins), kind)


def test_pins_are_spread_evenly_whatever_pattern_their_ids_have() -> None:
    for shards in (2, 3, 5):
        for ids in (np.arange(30_000), np.arange(30_000) * 1024, np.arange(30_000) << 32, np.arange(30_000) * 6 + 1):
            found = np.bincount(shard_of(ids.astype(np.uint64), shards).astype(np.int64), minlength=shards)
            assert found.min() > 0.9 * len(ids) / shards, (shards, found)


def test_cells_that_are_of_no_pin_are_on_shard_0_and_all_others_by_their_pin() -> None:
    assert {kind.table for kind in CELL_TABLES if "pin_id" not in kind.key} == {
        ExperimentRows.table,
        ArmMemberRows.table,
    }
    rows = ExperimentRows.of([()] * len(ExperimentRows.columns()))
    assert [len(part) for part in split(rows, 3)] == [0, 0, 0]


def test_a_start_row_that_one_shard_alone_has_is_written_to_the_others() -> None:
    first, second = MemorySink(), MemorySink()
    row, higher = (StartRow(SOURCE, 0, start, 0, Rules(shards=2).to_json()) for start in (3, 7))
    first.starts, second.starts = [higher], [row, higher]
    with ShardedSink([first, second], furthest_behind).session() as session:
        assert session.read_ledgers([SOURCE])[SOURCE].starts == (row,)
    assert row in first.starts
    assert second.starts == [row, higher]


def test_the_number_of_shards_is_a_rule_and_one_server_has_the_fingerprint_that_it_had() -> None:
    assert "shards" not in Rules().to_json()
    assert Rules(shards=2).fingerprint != Rules().fingerprint
    assert Rules.from_json(Rules(shards=3).to_json()) == Rules(shards=3)
