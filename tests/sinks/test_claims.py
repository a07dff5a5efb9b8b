"""C12: an epoch of a source has one set of rules, whoever begins it at once, and whenever an insert arrives."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import MINUTE_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.claims import claim
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain, follow
from pintally.streams.operations.change import epoch_starts
from pintally.streams.operations.change.epoch_starts import Change, apply_change
from pintally.streams.operations.change.rules import plan_rules
from pintally.streams.settings import Settings

pytestmark = pytest.mark.engines

SOURCE = Source("engagement.save.v1", uuid4(), 0)
FIRST, ONE, OTHER = (Rules(allowed_lateness_ms=minutes * MINUTE_MS) for minutes in (60, 120, 180))
AT_ONCE = 6


@pytest.fixture
def sink(stack: Settings) -> ClickHouseSink:
    sink = ClickHouseSink(stack.clickhouse)
    with sink.session() as session:
        session.write_starts([start(0, FIRST)])
    return sink


def start(epoch: int, rules: Rules) -> StartRow:
    return StartRow(SOURCE, epoch, 0, 0, rules.to_json())


def plan(session: MaintenanceSession, rules: Rules) -> Change:
    ends = {SOURCE: Offsets(0, 9, 9)}
    return plan_rules(lambda _: rules, session.read_ledgers([SOURCE]), ends, {}, session.slice_sums)


def merged(sink: ClickHouseSink) -> Chain:
    """The ledger when ClickHouse has merged all parts."""
    with Connection(sink.address) as connection:
        connection.execute("OPTIMIZE TABLE ingest_starts FINAL")
    with sink.session() as session:
        return follow(session.read_ledgers([SOURCE])[SOURCE])


def test_of_two_changes_that_were_planned_at_once_the_later_one_ends_and_is_planned_anew(sink: ClickHouseSink) -> None:
    with sink.session() as one, sink.session() as other:
        changes = plan(one, ONE), plan(other, OTHER)
        apply_change(one, changes[0])
        with pytest.raises(SinkUnavailable, match="somebody else began epoch 1"):
            apply_change(other, changes[1])
        assert merged(sink).rules == ONE
        apply_change(other, plan(other, OTHER))
    assert (merged(sink).rules, merged(sink).epoch_start.epoch) == (OTHER, 2)


def test_without_a_claim_the_later_one_changes_the_rules_of_an_epoch(
    sink: ClickHouseSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it is needed: of equal keys a merge keeps the last row."""
    monkeypatch.setattr(epoch_starts, "claim", lambda *_: None)
    with sink.session() as one, sink.session() as other:
        changes = plan(one, ONE), plan(other, OTHER)
        for session, change in zip((one, other), changes, strict=True):
            apply_change(session, change)
    assert (merged(sink).rules, merged(sink).epoch_start.epoch) == (OTHER, 1)


def test_the_start_row_of_a_change_that_was_killed_changes_no_rules_when_it_arrives_late(sink: ClickHouseSink) -> None:
    with sink.session() as killed, sink.session() as next_one:
        late = plan(killed, ONE)
        claim(killed, late.starts)
        with pytest.raises(SinkUnavailable):
            apply_change(next_one, plan(next_one, OTHER))
        apply_change(next_one, plan(next_one, OTHER))
        killed.write_starts(late.starts)
    assert (merged(sink).rules, merged(sink).epoch_start.epoch) == (OTHER, 2)


def test_the_same_change_again_goes_on_in_the_epoch_that_it_claimed(sink: ClickHouseSink) -> None:
    with sink.session() as killed, sink.session() as again:
        claim(killed, plan(killed, ONE).starts)
        apply_change(again, plan(again, ONE))
    assert (merged(sink).rules, merged(sink).epoch_start.epoch) == (ONE, 1)


def test_of_many_who_claim_an_epoch_at_once_at_most_one_goes_on(sink: ClickHouseSink) -> None:
    together = Barrier(AT_ONCE)

    def claims(number: int) -> set[int]:
        """The epochs that it may begin."""
        mine = set()
        with sink.session() as session:
            for epoch in range(1, 20):
                together.wait(30)
                try:
                    claim(session, [start(epoch, Rules(trusted_cap=number + 1))])
                    mine.add(epoch)
                except SinkUnavailable:
                    pass
        return mine

    with ThreadPoolExecutor(AT_ONCE) as pool:
        each = list(pool.map(claims, range(AT_ONCE)))
    assert sum(len(mine) for mine in each) == len(set().union(*each))
    with sink.session() as session:
        assert session.read_ledgers([SOURCE])[SOURCE].disputed == 19
