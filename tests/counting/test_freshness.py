"""What a flush takes knows its oldest Kafka timestamp, and the tally of a topic never falls."""

from dataclasses import replace

import pytest

from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.fold import Capture, SourceFold
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.slices import Base
from pintally.streams.counting.tally import Tally
from pintally.streams.counting.unflushed import NOTHING, Unflushed
from tests.support.logs import ACTION, SOURCE, T0, Log, chunk, record

RULES = Rules(slice_records=4)
LOG = Log(tuple(record(offset, T0 + 10 * offset) for offset in range(12)), 12)


def fold_of(log: Log, end: int, tally: Tally | None = None) -> SourceFold:
    fold = SourceFold(SOURCE, ACTION, RULES, 0, Base(0, 0, 0, 0), None, tally)
    fold.fold(chunk(log, 0, end))
    return fold


def captured(fold: SourceFold, *, ended_only: bool = False) -> Capture:
    capture = fold.capture(ended_only)
    assert capture
    return capture


def test_a_capture_knows_the_oldest_record_that_no_capture_before_it_took() -> None:
    fold = fold_of(LOG, 3)
    first = captured(fold)
    assert (first.taken, fold.oldest_pending) == (Unflushed(T0, 3), T0)
    fold.acknowledge(first)
    assert fold.oldest_pending is None
    fold.fold(chunk(LOG, 3, 7))
    assert captured(fold).taken == Unflushed(T0 + 30, 4)


def test_what_was_merged_back_is_as_old_as_it_was() -> None:
    fold = fold_of(LOG, 2)
    failed = captured(fold)
    fold.fold(chunk(LOG, 2, 3))
    fold.merge_back(failed)
    assert captured(fold).taken == Unflushed(T0, 3)


def test_of_a_source_far_behind_only_ended_slices_go_out_and_only_their_records_count() -> None:
    fold = fold_of(LOG, 7)
    ended = captured(fold, ended_only=True)
    assert ended.taken == Unflushed(T0, 4)
    fold.acknowledge(ended)
    assert fold.oldest_pending == T0 + 40
    assert captured(fold).taken == Unflushed(T0 + 40, 3)


@pytest.mark.parametrize(
    ("without", "taken"),
    [((0,), Unflushed(T0 + 10, 2)), ((1,), Unflushed(T0, 2)), ((0, 1, 2), NOTHING)],
)
def test_a_record_without_a_timestamp_has_no_age(without: tuple[int, ...], taken: Unflushed) -> None:
    records = tuple(replace(each, timestamp=-1) if each.offset in without else each for each in LOG.records)
    assert captured(fold_of(Log(records, 12), 3)).taken == taken


def test_what_is_folded_again_after_a_restart_is_not_new() -> None:
    fold = fold_of(LOG, 6)
    first = captured(fold)
    chain = follow(SourceLedger((StartRow(SOURCE, 0, 0, 0, RULES.to_json()),), first.ledger))
    restarted = SourceFold(SOURCE, ACTION, RULES, 0, base_of(chain), chain.version)
    restarted.fold(chunk(LOG, restarted.position, 5))
    assert restarted.oldest_pending is None
    restarted.fold(chunk(LOG, 5, 8))  # offset 5 is flushed, 6 and 7 are not
    assert captured(restarted).taken == Unflushed(T0 + 60, 2)


def test_a_tally_adds_up_all_folds_of_a_topic_and_knows_the_fields_at_fault() -> None:
    tally = Tally()
    late = record(3, T0 + 30, occurred_at=T0 - 2 * 3_600_000)
    log = Log((*LOG.records[:3], late, record(4, T0 + 40, 9), record(5, T0 + 50, 9), record(7, -1, occurred_at=T0)), 8)
    fold_of(log, 8, tally)
    assert (tally.counted, tally.duplicate, tally.late, tally.invalid, tally.gaps) == (4, 1, 1, 1, 1)
    assert tally.fields == {"late": 1, "no_timestamp": 1}
    fold_of(log, 8, tally)
    assert (tally.counted, tally.fields["late"]) == (8, 2)
