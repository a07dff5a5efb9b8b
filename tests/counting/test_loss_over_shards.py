"""What `accept-loss` gives up over shards: what single shards lack and the log too, named shard by shard (C34)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pintally.schemas.errors import Refusal
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, LostKind, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.streams.counting import fold
from pintally.streams.counting.aggregates import slice_arms, slice_labels
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.refusals import refuse_log
from pintally.streams.counting.shards import furthest_behind, reached
from pintally.streams.operations.change import lost
from pintally.streams.operations.change.lost import Lost, plan_lost
from tests.controls.switch import replaced
from tests.counting.loss_world import first_failure
from tests.simulation.logs import NAMED, decode_before
from tests.support.logs import SOURCE

SEEDS, AT_MOST = range(250), range(3000)
RULES = Rules(slice_records=100, shards=2)


@pytest.fixture(autouse=True)
def small_logs() -> Iterator[None]:
    """Logs are decoded once, and a slice names few labels and arms."""
    few = (slice_labels, "MAX_SLICE_LABELS", NAMED), (slice_arms, "MAX_SLICE_ARMS", NAMED)
    with replaced((fold, "decode_by_rule", decode_before), *few):
        yield


def test_what_no_loss_names_is_counted_on_its_shard_and_nothing_twice() -> None:
    """Retention overtakes the counting, shards are restored from before, commands end between two steps."""
    assert first_failure(SEEDS) is None


CONTROLS: dict[str, Callable[[], Any]] = {
    "a shard that lacks slices is not levelled": lambda: replaced((lost, "lacking", lambda *_: [])),
    "what single shards lack is not recorded": lambda: replaced((lost, "_lacked", _unrecorded)),
    "counting passes what is lost without its ledger rows": lambda: replaced((lost, "_lacked", _without_rows)),
}
_lacked = lost._lacked


def _unrecorded(*of: Any) -> list[Lost]:
    return [replace(each, row=None) for each in _lacked(*of)]


def _without_rows(*of: Any) -> list[Lost]:
    return [replace(each, lacked=()) for each in _lacked(*of) if each.row]


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_counts_are_wrong(name: str) -> None:
    with CONTROLS[name]():
        assert first_failure(AT_MOST) is not None


def row(begin: int, position: int) -> LedgerRow:
    outcomes = Outcomes(position - begin)
    return LedgerRow(SOURCE, begin // 100, 0, begin, 0, position, 0, outcomes, outcomes.counted, 0, RULES.fingerprint)


def ledger_of(*shards: tuple[LedgerRow, ...]) -> SourceLedger:
    each = tuple(SourceLedger((StartRow(SOURCE, 0, 0, 0, RULES.to_json()),), rows) for rows in shards)
    return furthest_behind(each)


AHEAD = (row(0, 100), row(100, 200), row(200, 300), row(300, 340))
BEHIND = (row(0, 100), row(100, 120))


def plan(ledger: SourceLedger, ends: Offsets) -> list[Lost]:
    return plan_lost(lambda _: RULES, {SOURCE: ledger}, {SOURCE: ends}, {}, lambda _: {}, 1000, "why")


def test_slices_that_the_log_can_give_are_not_given_up() -> None:
    assert plan(ledger_of(AHEAD, BEHIND), Offsets(0, 340, 340)) == []
    found = plan(ledger_of(AHEAD, BEHIND), Offsets(200, 340, 340))
    assert [(each.row.kind, each.row.start, each.row.end, each.row.note) for each in found if each.row] == [
        (LostKind.DAMAGED, 100, 200, "not counted on shard 1 from offset 120; why"),
        (LostKind.DAMAGED, 200, 300, "not counted on shard 1 from offset 200; why"),
    ]
    assert [each.lacked for each in found] == [((1, AHEAD[1]),), ((1, AHEAD[2]),)]


def test_shards_that_stand_at_one_offset_lose_what_one_server_would() -> None:
    ends = Offsets(400, 500, 500)
    alone = replace(ledger_of(AHEAD), of_shards=())
    assert plan(ledger_of(AHEAD, AHEAD), ends) == plan(alone, ends) != []


def test_a_log_that_ends_below_what_any_shard_has_counted_is_refused_and_taken_back_on_all() -> None:
    ledger = ledger_of(BEHIND, AHEAD)
    assert (follow(ledger).position, reached(ledger)) == (120, 340)
    with pytest.raises(Refusal, match="ends at offset 250, the ledger has counted to 340"):
        refuse_log(SOURCE, base_of(follow(ledger)), reached(ledger), Offsets(0, 250, 250))
    [found] = plan(ledger, Offsets(0, 250, 250))
    assert found.row
    assert (found.row.kind, found.row.start, found.row.end) == (LostKind.TRUNCATED, 250, 340)
    assert found.start
    assert found.start.start == 100, "from the slice of the shard that is furthest behind"
    [found] = plan(ledger, Offsets(200, 250, 250))
    assert found.start
    assert found.start.start == 200, "the log cannot give more"
