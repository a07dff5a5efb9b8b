"""C5 and C18: where a change of rules takes effect, and what it refuses."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest

from pintally.schemas.errors import Refusal
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, LostKind, LostRow, SourceLedger, StartRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow, ruling
from pintally.streams.operations.change.epoch_starts import Change
from pintally.streams.operations.change.rules import plan_rules

SAVE, CLICK = Source("engagement.save.v1", UUID(int=1), 0), Source("engagement.click.v1", UUID(int=2), 0)
OLD = Rules(slice_records=100)
NEW = Rules(slice_records=100, allowed_lateness_ms=60_000)
T = 1_700_000_000_000 // ARRIVAL_BUCKET_MS * ARRIVAL_BUCKET_MS


def start(source: Source, offset: int = 0, epoch: int = 0, rules: Rules = OLD) -> StartRow:
    return StartRow(source, epoch, offset, T, rules.to_json())


def row(source: Source, begin: int, position: int, epoch: int = 0) -> LedgerRow:
    outcomes = Outcomes(position - begin)
    return LedgerRow(
        source,
        begin // 100,
        T // 1000,
        begin,
        T + begin,
        position,
        T + position,
        outcomes,
        outcomes.counted,
        epoch,
        "r",
    )


def plan(
    ledgers: Mapping[Source, SourceLedger],
    rules: Rules = NEW,
    offsets: Mapping[Source, Offsets] | None = None,
    committed: Mapping[tuple[str, int], int] | None = None,
) -> Change:
    ends = offsets or dict.fromkeys(ledgers, Offsets(0, 500, 500))
    empty = dict.fromkeys(ends, SourceLedger((), ()))
    return plan_rules(lambda _: rules, {**empty, **ledgers}, ends, committed or {}, lambda _: {})


def test_it_takes_effect_at_the_start_of_each_sources_unfinished_slice_in_the_next_epoch() -> None:
    change = plan(
        {
            SAVE: SourceLedger((start(SAVE),), (row(SAVE, 0, 100), row(SAVE, 100, 150))),
            CLICK: SourceLedger((start(CLICK, 7, 3),), (row(CLICK, 7, 20, 3),)),
        }
    )
    assert change.starts == (
        StartRow(SAVE, 4, 100, T + 100, NEW.to_json()),
        StartRow(CLICK, 4, 7, T + 7, NEW.to_json()),
    )


def test_hours_are_opened_from_the_lowest_stream_time_less_the_greater_lateness() -> None:
    for rules in (NEW, OLD):
        other = OLD if rules is NEW else NEW
        ledger = SourceLedger((start(SAVE, rules=other),), (row(SAVE, 0, 100), row(SAVE, 100, 150)))
        assert plan({SAVE: ledger}, rules).reopen_from == (T + 100 - OLD.allowed_lateness_ms - 60_000) // 1000


def test_nothing_is_opened_for_a_source_of_which_nothing_is_flushed() -> None:
    empty = {SAVE: Offsets(0, 0, 0)}
    assert plan({SAVE: SourceLedger((start(SAVE),), ())}, offsets=empty).reopen_from is None


def test_a_partition_without_a_start_row_gets_one_at_its_logs_start() -> None:
    ledgers = {SAVE: SourceLedger((start(SAVE),), (row(SAVE, 0, 50),))}
    change = plan(ledgers, offsets={SAVE: Offsets(0, 50, 50), CLICK: Offsets(9, 20, 20)})
    assert change.starts[1] == StartRow(CLICK, 1, 9, 0, NEW.to_json())


def test_a_source_that_has_the_rules_already_stays_as_it_is() -> None:
    """So a second run finds nothing to write, and one after a crash in the middle of the start rows writes the rest."""
    done = SourceLedger((start(SAVE), start(SAVE, 100, 1, NEW)), (row(SAVE, 0, 100), row(SAVE, 100, 150)))
    assert plan({SAVE: done}) == Change()
    change = plan({SAVE: done, CLICK: SourceLedger((start(CLICK),), ())})
    assert [(each.source, each.epoch) for each in change.starts] == [(CLICK, 2)]


def test_larger_slices_are_refused_and_smaller_ones_are_not() -> None:
    ledger = {SAVE: SourceLedger((start(SAVE),), (row(SAVE, 0, 50),))}
    with pytest.raises(Refusal, match="101 is larger than 100"):
        plan(ledger, replace(OLD, slice_records=101))
    assert plan(ledger, replace(OLD, slice_records=99)).starts


@pytest.mark.parametrize("ends", [Offsets(10, 500, 500), Offsets(0, 120, 120)], ids=["trimmed", "truncated"])
def test_a_log_that_does_not_fit_its_ledger_is_refused_before_anything_is_written(ends: Offsets) -> None:
    ledger = SourceLedger((start(SAVE),), (row(SAVE, 0, 100), row(SAVE, 100, 150)))
    with pytest.raises(Refusal, match="pintally accept-loss"):
        plan({SAVE: ledger}, offsets={SAVE: ends})


def test_a_source_that_is_counted_to_its_end_changes_rules_there_when_its_last_slice_is_gone() -> None:
    """Nothing is taken back, for nobody could count it again; its next slice has a name of its own."""
    ledger = SourceLedger((start(SAVE),), (row(SAVE, 0, 100), row(SAVE, 100, 150)))
    change = plan({SAVE: ledger}, offsets={SAVE: Offsets(150, 150, 150)})
    [given_up], [kept], [begin] = change.lost, change.restamped, change.starts
    assert (given_up.kind, given_up.start, given_up.end) == (LostKind.TRIMMED, 150, 150)
    assert kept.begin == StartRow(SAVE, 1, 100, T + 100, OLD.to_json())
    assert begin == StartRow(SAVE, 2, 150, T + ARRIVAL_BUCKET_MS, NEW.to_json())
    assert change.reopen_from is None
    rows = (ledger.rows[0], replace(ledger.rows[1], epoch=1))
    after = SourceLedger((*ledger.starts, kept.begin, begin), rows, (given_up,))
    assert (follow(after).start, follow(after).rules) == (150, NEW)
    assert plan({SAVE: after}, offsets={SAVE: Offsets(150, 150, 150)}) == Change()
    assert plan({SAVE: ledger}, OLD, offsets={SAVE: Offsets(150, 150, 150)}) == Change(), "the rules are the same"


def test_a_hole_below_the_epoch_start_is_refused() -> None:
    ledger = SourceLedger((start(SAVE), start(SAVE, 200, 1)), (row(SAVE, 100, 200), row(SAVE, 200, 250, 1)))
    with pytest.raises(Refusal, match="pintally repair"):
        plan({SAVE: ledger})


def test_a_lost_ledger_and_a_topic_made_again_are_not_passed_over() -> None:
    ends = {SAVE: Offsets(0, 9, 9)}
    with pytest.raises(Refusal, match="the ledger was lost"):
        plan({}, offsets=ends, committed={(SAVE.topic, 0): 4})
    first = replace(SAVE, topic_id=UUID(int=9))
    ledger = SourceLedger((start(first),), ())
    with pytest.raises(Refusal, match="created again"):
        plan({first: ledger}, offsets=ends)
    retired = replace(ledger, lost=(LostRow(first, 0, LostKind.RETIRED, 0, 2**48 - 1, ""),))
    assert plan({first: retired}, offsets=ends, committed={(SAVE.topic, 0): 4}).starts[0].source == SAVE


def test_what_a_stopped_worker_begins_too_late_does_not_reign_beside_the_new_rules() -> None:
    """It saw an empty ledger, as the plan did; its start row comes after those of the plan."""
    change = plan({}, offsets={SAVE: Offsets(0, 9, 9)})
    assert ruling([*change.starts, start(SAVE)]) == list(change.starts)
