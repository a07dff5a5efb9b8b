"""What emulated traffic looks like, and which plans are refused."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.schemas.events import ContractError, validate
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import MINUTE_MS, Rules
from pintally.tools.emulate.bots import HAMMERS, bot_user, is_bot, roams
from pintally.tools.emulate.broken import KINDS, Good
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.plan import Plan, PlanRefused, margins
from pintally.tools.emulate.sessions import PLATFORM_SHARES, PLATFORMS, SURFACE_SHARES, SURFACES
from pintally.tools.emulate.traffic import Slab, Traffic

ANCHOR = 1_790_000_000_000
EVENTS = 30_000
PLAN = Plan(events=EVENTS, pins=5_000)
BY_TIME = {"from_the_future", "older_than_kept"}  # invalid by the time they arrive, not by their form


def slabs(plan: Plan = PLAN, rules: Rules | None = None) -> list[Slab]:
    return list(Traffic(plan, rules or Rules(), ANCHOR).slabs())


def column(parts: list[Slab], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


def test_people_look_more_than_they_click_and_click_more_than_they_save() -> None:
    actions = Counter(column(slabs(), "action").tolist())
    assert actions[Action.CLOSEUP] > 2 * actions[Action.CLICK] > 2 * actions[Action.SAVE] > 0


def test_a_few_pins_take_most_of_the_attention_and_most_pins_take_little() -> None:
    counts = np.bincount(column(slabs(), "pin"), minlength=PLAN.pins)
    assert counts[:50].sum() > 0.35 * counts.sum()
    assert np.median(counts[counts > 0]) < 5


def test_ids_are_different_and_most_do_not_fit_a_double() -> None:
    ids = Pins(np.random.default_rng(1), 20_000).ids
    assert len(set(ids.tolist())) == 20_000
    assert (ids > 2**53).mean() > 0.9


def test_events_arrive_out_of_order_but_never_before_they_happen() -> None:
    parts = slabs(replace(PLAN, late=0, broken=0, duplicates=0))
    arrival, occurred = column(parts, "arrival"), column(parts, "occurred")
    assert (np.diff(arrival) >= 0).all()
    assert (np.diff(occurred) < 0).mean() > 0.1
    assert (occurred < arrival).all()


def test_without_a_rate_the_span_before_the_anchor_is_covered_and_nothing_else() -> None:
    arrival = column(slabs(), "arrival")
    assert ANCHOR - PLAN.span_ms <= arrival[0] < ANCHOR - PLAN.span_ms + MINUTE_MS
    assert ANCHOR - MINUTE_MS < arrival[-1] <= ANCHOR


def test_with_a_rate_records_arrive_at_that_rate_from_the_anchor_on() -> None:
    arrival = column(slabs(Plan(events=5_000, rate=500)), "arrival")
    assert arrival[0] == ANCHOR + 1
    assert arrival[-1] - arrival[0] == pytest.approx(10_000, abs=5)


def test_traffic_follows_the_hour_of_the_day() -> None:
    morning = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 14 * 3_600_000  # on its way to the evening's peak
    plan = Plan(events=50_000, span_ms=6 * 60 * MINUTE_MS)
    arrival = column(list(Traffic(plan, Rules(allowed_lateness_ms=24 * 3_600_000), morning).slabs()), "arrival")
    first, last = np.histogram(arrival, 2)[0]
    assert last > 1.2 * first


def test_surfaces_and_platforms_have_their_shares() -> None:
    made = slabs(replace(PLAN, late=0, broken=0))
    for name, shares in (("surface", SURFACE_SHARES), ("platform", PLATFORM_SHARES)):
        found = np.bincount(column(made, name), minlength=len(shares)) / EVENTS
        assert found == pytest.approx(shares, abs=0.02)


def test_a_record_says_the_labels_of_its_columns() -> None:
    for slab in slabs(replace(PLAN, broken=0, events=2_000)):
        for value, surface, platform in zip(slab.values, slab.surface.tolist(), slab.platform.tolist(), strict=True):
            event = json.loads(value or b"")
            assert event.get("surface") == (None, *SURFACES)[surface]
            assert event.get("platform") == (None, *PLATFORMS)[platform]


def test_each_bot_hammers_one_pin_or_roams_and_is_no_person() -> None:
    made = slabs(replace(PLAN, bots=0.1, duplicates=0))
    bots = [bot_user(number) for number in range(EVENTS // 10 // HAMMERS)]
    assert not set(bots) & set(column(slabs(), "user").tolist())
    user, pin, action = (column(made, name) for name in ("user", "pin", "action"))
    assert np.isin(user, bots).sum() == EVENTS // 10
    for bot in bots:
        own = user == bot
        assert (own.sum(), len(set(action[own]))) == (HAMMERS, 1)
        assert len(set(pin[own])) > HAMMERS // 2 if roams(bots.index(bot)) else len(set(pin[own])) == 1
    assert {each for each in user.tolist() if is_bot(each)} == set(bots)


def test_shares_come_out_to_the_record() -> None:
    outcomes = Counter(column(slabs(replace(PLAN, duplicates=0.1, late=0.05, broken=0.02)), "outcome").tolist())
    assert outcomes == {Outcome.COUNTED: 24_900, Outcome.DUPLICATE: 3_000, Outcome.LATE: 1_500, Outcome.INVALID: 600}


def test_another_seed_is_another_traffic() -> None:
    assert slabs()[0].values != slabs(replace(PLAN, seed=2))[0].values


def test_a_later_run_with_the_same_seed_has_other_event_ids() -> None:
    def ids(anchor: int) -> set[bytes]:
        values = next(Traffic(replace(PLAN, broken=0), Rules(), anchor).slabs()).values
        return {value[13:49] for value in values if value is not None}

    assert not ids(ANCHOR) & ids(ANCHOR + 1)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - BY_TIME))
@pytest.mark.parametrize("action", list(Action))
def test_the_contract_refuses_every_kind_of_broken_record(kind: str, action: Action) -> None:
    fields = {
        "event_id": "6c1b5a0e-2f2f-4a51-8a4d-0b8e5f6d7a10",
        "action": action.label,
        "pin_id": "123567584227308875",
        "user_id": "660833068088710002",
        "occurred_at": ANCHOR,
    }
    with pytest.raises(ContractError):
        validate(KINDS[kind](Good(fields, ANCHOR, margins(PLAN, Rules()))), action)


@pytest.mark.parametrize(
    ("key", "hashed"), [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)]
)
def test_the_partitioner_hashes_as_kafkas_java_client_does(key: str, hashed: int) -> None:
    pins = Pins(np.random.default_rng(1), 1)
    pins.texts = [key]  # keys and hashes from the tests of org.apache.kafka.common.utils.Utils
    assert pins.partitions(np.zeros(1, np.int64), 7).tolist() == [(hashed & 0x7FFFFFFF) % 7]


def test_hours_that_are_longer_than_the_lateness_are_covered_where_records_keep_their_times() -> None:
    plan = replace(PLAN, span_ms=6 * 60 * MINUTE_MS, keeps_times=True)
    made = slabs(plan)
    arrival, occurred, outcome = (column(made, name) for name in ("arrival", "occurred", "outcome"))
    assert arrival[-1] - arrival[0] > 5 * 60 * MINUTE_MS
    closed = occurred // MINUTE_MS * MINUTE_MS + MINUTE_MS + Rules().allowed_lateness_ms <= arrival
    assert closed[outcome == Outcome.COUNTED].sum() == 0
    assert closed[outcome == Outcome.LATE].all()


@pytest.mark.parametrize(
    ("plan", "rules", "names"),
    [
        (replace(PLAN, span_ms=55 * MINUTE_MS), Rules(), "allowed lateness is 3600 s"),
        (replace(PLAN, rate=10.0), Rules(allowed_lateness_ms=0), "allowed lateness is 0 s"),
        (replace(PLAN, duplicates=0.9), Rules(), "--duplicates 0.9"),
        (replace(PLAN, late=-0.1), Rules(), "--late -0.1"),
        (replace(PLAN, duplicates=0.3, late=0.3), Rules(), "together are 0.6"),
        (replace(PLAN, rate=0.001), Rules(), "duplicate"),
        (replace(PLAN, rate=-5.0), Rules(), "--rate -5"),
        (replace(PLAN, events=None), Rules(), "--rate"),
        (replace(PLAN, pins=0), Rules(), "--pins 0"),
        (replace(PLAN, bots=1.5), Rules(), "--bots 1.5"),
        (PLAN, Rules(retention_ms=2 * 3_600_000), "tables keep"),
    ],
)
def test_a_plan_whose_truth_could_not_be_known_is_refused(plan: Plan, rules: Rules, names: str) -> None:
    with pytest.raises(PlanRefused, match=names) as refused:
        Traffic(plan, rules, ANCHOR)
    assert refused.value.remedy
