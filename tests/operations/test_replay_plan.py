"""Which letters a replay takes, and which it leaves."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.dead_letters import SENT_BEFORE
from pintally.schemas.errors import Refusal
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import DeadLetterRow, LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import NEVER_LATE_MS, Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets
from pintally.streams.operations.replay.horizon import ReplayHorizon, ReplaysUnknown, horizon_of, refuse_before_horizon
from pintally.streams.operations.replay.origins import refuse_replayed
from pintally.streams.operations.replay.plan import (
    Conditions,
    Planned,
    Verdict,
    plan,
    replayed_meanwhile,
    without_duplicates,
)
from pintally.streams.settings import Settings

NOW = 1_795_269_600_000
SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
REPLAY = Source("engagement.save.v1.replay", UUID(int=2), 0)
BY = Conditions(dict.fromkeys(Action, Rules().never_late), NOW, {SOURCE: {3: 0}})
FRAMED = replace(BY, rules={**BY.rules, Action.SAVE: Rules().never_late.framed})
PREFIX = b"\0\0\0\0\x07"


def value(event_id: int = 1, pin: object = "1", occurred_at: int = NOW) -> bytes:
    fields = {"event_id": str(UUID(int=event_id)), "action": "save", "pin_id": pin, "user_id": "1"}
    return json.dumps({**fields, "occurred_at": occurred_at}).encode()


def letter(offset: int, content: bytes | None, outcome: str = "late", reason: str = "late by 3 s") -> DeadLetterRow:
    return DeadLetterRow(SOURCE, offset, NOW, outcome, reason, None, content, ())


def verdict(row: DeadLetterRow, content: bytes | None = None, by: Conditions = BY) -> Planned:
    return plan(row, row.value if content is None else content, Action.SAVE, by)


def test_a_late_letter_is_ready_however_late_it_is() -> None:
    assert verdict(letter(0, value(occurred_at=NOW - 89 * 86_400_000))).verdict is Verdict.READY


def test_a_letter_is_invalid_until_it_is_corrected() -> None:
    broken = letter(0, value(pin="x"), "invalid", "pin_id")
    assert verdict(broken).verdict is Verdict.INVALID
    assert "pin_id" in verdict(broken).why
    corrected = verdict(broken, value(pin="7"))
    assert (corrected.verdict, corrected.corrected) == (Verdict.READY, ("pin_id",))


def test_time_heals_an_event_of_the_future_and_takes_one_that_is_too_old() -> None:
    early = letter(0, value(occurred_at=NOW + 300_001), "invalid", "leads")
    assert verdict(early).verdict is Verdict.INVALID
    assert verdict(early, by=replace(BY, now_ms=NOW + 1)).verdict is Verdict.READY
    old = letter(0, value(occurred_at=NOW - 90 * 86_400_000))
    assert verdict(old).verdict is Verdict.READY
    assert verdict(old, by=replace(BY, now_ms=NOW + 1)).verdict is Verdict.INVALID


def test_the_rules_of_the_replay_topic_say_whether_a_value_must_be_framed() -> None:
    late = letter(0, PREFIX + value())
    assert verdict(late, by=FRAMED).verdict is Verdict.READY
    assert verdict(late).verdict is Verdict.INVALID
    assert "PINTALLY_FRAMED_TOPICS" in verdict(late).why
    plain = letter(0, value(), "invalid", "value: must be framed")
    assert verdict(plain, by=FRAMED).verdict is Verdict.INVALID
    corrected = verdict(plain, PREFIX + value(), FRAMED)
    assert (corrected.verdict, corrected.corrected) == (Verdict.READY, ("prefix",))
    assert plan(late, late.value, Action.CLICK, FRAMED).verdict is Verdict.INVALID


def test_a_framed_letter_that_was_sent_before_is_left() -> None:
    twice = letter(0, PREFIX + value(), reason="late by 3 s" + SENT_BEFORE)
    assert verdict(twice, by=FRAMED).verdict is Verdict.DUPLICATE
    assert verdict(twice, value()).verdict is Verdict.DUPLICATE, "its topic is not framed any more"
    assert verdict(twice, PREFIX + value(event_id=2), FRAMED).verdict is Verdict.READY


def test_an_origin_that_was_replayed_is_left_whatever_its_value() -> None:
    assert verdict(letter(3, value())).verdict is Verdict.REPLAYED
    assert verdict(letter(3, None, "invalid")).verdict is Verdict.REPLAYED


def test_a_letter_that_was_sent_before_is_left_unless_it_becomes_another_event() -> None:
    twice = letter(0, value(), reason="late by 3 s" + SENT_BEFORE)
    assert verdict(twice).verdict is Verdict.DUPLICATE
    assert verdict(twice, value(pin="2")).verdict is Verdict.DUPLICATE
    assert verdict(twice, value(event_id=2)).verdict is Verdict.READY
    assert verdict(twice, by=replace(BY, even_duplicates=True)).verdict is Verdict.READY


def test_of_an_event_that_is_counted_no_letter_is_sent_and_of_two_letters_one() -> None:
    planned = [verdict(letter(offset, value(event_id))) for offset, event_id in ((0, 1), (1, 2), (2, 2), (3, 1))]
    checked = without_duplicates(planned, {UUID(int=1): "in engagement.save.v1[1]@9"})
    assert [each.verdict for each in checked] == [
        Verdict.DUPLICATE,
        Verdict.READY,
        Verdict.DUPLICATE,
        Verdict.REPLAYED,
    ]
    assert "engagement.save.v1[1]@9" in checked[0].why
    assert "engagement.save.v1[0]@1" in checked[2].why


def test_a_letter_that_was_replayed_while_the_log_was_searched_is_replayed_and_no_duplicate() -> None:
    planned = [verdict(letter(offset, value(offset + 1))) for offset in (0, 1)]
    checked = without_duplicates(planned, {UUID(int=1): "in engagement.save.v1.replay[0]@5"})
    now = replayed_meanwhile(checked, {SOURCE: {0: 5}})
    assert [each.verdict for each in now] == [Verdict.REPLAYED, Verdict.READY]


def test_rules_do_not_change_below_a_letter_that_was_replayed() -> None:
    refuse_replayed([StartRow(SOURCE, 1, 4, 0, "")], BY.replayed)
    with pytest.raises(Refusal, match=r"engagement.save.v1\[0\]@3"):
        refuse_replayed([StartRow(SOURCE, 1, 3, 0, "")], BY.replayed)


def test_replay_topics_have_the_rules_of_their_topic_but_nothing_is_late() -> None:
    settings = Settings.of(None, topic_prefix="p.", allowed_lateness_seconds=7)
    assert settings.topics.replay_names[Action.CLICK] == "p.engagement.click.v1.replay"
    assert settings.rules.in_topic("p.engagement.click.v1") == settings.rules.to_rules()
    assert settings.rules.in_topic("p.engagement.click.v1.replay") == replace(
        settings.rules.to_rules(), allowed_lateness_ms=NEVER_LATE_MS
    )
    assert list(settings.topics.actions.values()) == [*Action, *Action]


def recorded(position: int, stream_time: int) -> LedgerRow:
    return LedgerRow(REPLAY, 0, 0, 0, 0, position, stream_time, Outcomes(position), position, 0, "r")


def test_replays_that_a_topic_has_deleted_came_before_the_stream_time_where_its_log_starts() -> None:
    rows = (recorded(10, NOW - 50), recorded(20, NOW - 40), recorded(30, NOW - 30))
    ledger = SourceLedger((), rows)
    for log_start, until in ((5, NOW - 50), (10, NOW - 50), (11, NOW - 40), (30, NOW - 30)):
        assert horizon_of(REPLAY, ledger, Offsets(log_start, 40, 40)) == until
    with pytest.raises(ReplaysUnknown, match="begins at offset 31, and is not counted up to there"):
        horizon_of(REPLAY, ledger, Offsets(31, 40, 40))


def test_a_letter_is_left_that_came_before_all_that_is_remembered_and_may_have_been_replayed() -> None:
    """A record may lead the time it came by the skew, and a replay comes after its record."""
    for at, expected in ((NOW - 9, Verdict.READY), (NOW - 10, Verdict.TOO_OLD), (-1, Verdict.TOO_OLD)):
        row = replace(letter(0, value()), timestamp=at)
        by = replace(BY, horizon=ReplayHorizon({Action.SAVE: NOW - 20}, 10))
        assert verdict(row, by=by).verdict is expected
        assert verdict(row, by=replace(BY, horizon=ReplayHorizon({Action.CLICK: NOW}, 10))).verdict is Verdict.READY
    known = replace(letter(3, value()), timestamp=0)
    assert verdict(known, by=by).verdict is Verdict.REPLAYED, "that is still known"


def test_rules_do_not_change_below_a_letter_of_which_nobody_knows_whether_it_was_replayed() -> None:
    settings = Settings.of(None)
    row = LedgerRow(SOURCE, 0, 0, 100, NOW, 150, NOW, Outcomes(49, late=1), 49, 0, "r")
    clean = replace(row, outcomes=Outcomes(50))
    begin, horizon = StartRow(SOURCE, 1, 100, NOW, ""), ReplayHorizon({Action.SAVE: NOW - 10}, 10)
    for rows, begins, gone in (
        ((clean,), begin, horizon),
        ((row,), replace(begin, start=150), horizon),
        ((row,), begin, ReplayHorizon({Action.SAVE: NOW - 11}, 10)),
    ):
        refuse_before_horizon(settings.topics, [begins], {SOURCE: SourceLedger((), rows)}, gone)
    with pytest.raises(Refusal, match="from offset 100 on may have been replayed"):
        refuse_before_horizon(settings.topics, [begin], {SOURCE: SourceLedger((), (row,))}, horizon)
