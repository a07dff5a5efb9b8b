"""The truth the emulator tells is what the counting rules say of the log it makes, on topics of both kinds."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, MINUTE_MS, Rules
from pintally.tools.emulate.plan import Plan, PlanRefused
from pintally.tools.emulate.traffic import Slab, Traffic
from pintally.tools.emulate.truth import Truth
from tests.support.reference import LogRecord, recount

ANCHOR = 1_790_000_123_456
PARTITIONS = {Action.SAVE: 1, Action.CLICK: 2, Action.CLOSEUP: 3}
TOPICS = {action: action.topic() for action in Action}

shares = st.sampled_from([0.0, 0.01, 0.1, 0.25])
plans = st.builds(
    Plan,
    events=st.integers(0, 300),
    rate=st.none() | st.sampled_from([0.05, 2.0, 1_000.0]),
    seed=st.integers(0, 2**32),
    span_ms=st.integers(1, 40 * MINUTE_MS),
    pins=st.sampled_from([1, 3, 1_000]),
    duplicates=shares,
    late=shares,
    broken=shares,
)
all_rules = st.builds(
    Rules,
    allowed_lateness_ms=st.sampled_from([60_000, 600_000, 3_600_000, 86_400_000]),
    max_clock_skew_ms=st.sampled_from([0, 300_000]),
    retention_ms=st.just(7 * 86_400_000),
    slice_records=st.sampled_from([1, 2, 5, 6, 100, 250_000]),
    dedup=st.booleans(),
)


@dataclass(frozen=True)
class Place:
    """How a log takes the records up: where each partition begins, and whose stream time stamps them."""

    first_offset: int
    stream_time_before: int  # ms before the anchor: the partition's stream time before the run
    append_time: bool
    late_by: float  # the part of the slack that the last record takes


places = st.builds(
    Place, st.integers(0, 600), st.integers(0, 10**8), append_time=st.booleans(), late_by=st.floats(0, 1)
)


def partitioned(traffic: Traffic, slabs: list[Slab], place: Place) -> dict[tuple[Action, int], list[LogRecord]]:
    """The log of each partition that got a record."""
    log: dict[tuple[Action, int], list[LogRecord]] = defaultdict(list)
    timestamps = iter(stamped(traffic, slabs, place))
    for slab in slabs:
        for index, value in enumerate(slab.values):
            action = Action(slab.action[index])
            partition = int(traffic.pins.partitions(slab.pin[index : index + 1], PARTITIONS[action])[0])
            records = log[action, partition]
            records.append(LogRecord(place.first_offset + len(records), next(timestamps), value))
    return log


def stamped(traffic: Traffic, slabs: list[Slab], place: Place) -> list[int]:
    """The Kafka timestamps of all records, in order."""
    arrivals = [at for slab in slabs for at in slab.arrival.tolist()]
    if not place.append_time:
        return arrivals
    wait = traffic.margins.slack * place.late_by / max(1, len(arrivals))
    # A duplicate is not that far behind its original: they go out within one slab, which takes no minutes.
    wait = min(wait, ARRIVAL_BUCKET_MS / 2 / (3 * traffic.margins.duplicate_gap + 2))
    return [(at if traffic.plan.live else ANCHOR) + int(n * wait) for n, at in enumerate(arrivals)]


@settings(deadline=None, max_examples=150)
@given(plan=plans, rules=all_rules, place=places)
def test_the_truth_is_what_the_rules_say_of_the_log(plan: Plan, rules: Rules, place: Place) -> None:
    try:
        traffic = Traffic(plan, rules, ANCHOR)
    except PlanRefused:
        return
    truth = Truth(traffic.pins, TOPICS, PARTITIONS)
    slabs = list(traffic.slabs())
    for slab in slabs:
        truth.add(slab)
    log = partitioned(traffic, slabs, place)
    outcomes: Counter[tuple[str, int, Outcome]] = Counter()
    cells: Counter[tuple[Action, int, int]] = Counter()
    for (action, partition), records in log.items():
        stream_time = ANCHOR - place.stream_time_before
        end = place.first_offset + len(records)
        recounted = recount(records, place.first_offset, end, rules, action, stream_time)
        for outcome in recounted.outcomes.values():
            outcomes[TOPICS[action], partition, Outcome[outcome.upper()]] += 1
        for (_, _, minute, pin, *_), offsets in recounted.counted.items():
            cells[action, minute, pin] += len(offsets)
    assert truth.outcomes == outcomes
    assert truth.cells() == cells


@settings(deadline=None, max_examples=30)
@given(plan=plans, rules=all_rules)
def test_the_same_plan_gives_the_same_bytes(plan: Plan, rules: Rules) -> None:
    def everything() -> list[tuple[list[int], list[bytes | None]]]:
        return [(slab.arrival.tolist(), slab.values) for slab in Traffic(plan, rules, ANCHOR).slabs()]

    try:
        assert everything() == everything()
    except PlanRefused:
        return


@settings(deadline=None, max_examples=30)
@given(plan=plans, rules=all_rules)
def test_outcomes_add_up_to_the_records_and_cells_to_the_counted(plan: Plan, rules: Rules) -> None:
    try:
        traffic = Traffic(plan, rules, ANCHOR)
    except PlanRefused:
        return
    truth = Truth(traffic.pins, TOPICS, PARTITIONS)
    for slab in traffic.slabs():
        truth.add(slab)
    assert truth.records == sum(truth.totals().values()) == plan.events
    assert sum(truth.cells().values()) == truth.totals()[Outcome.COUNTED]
    lines = [json.loads(line) for line in truth.lines()]
    assert sum(line.get("records", 0) for line in lines) == plan.events
    assert {
        (line["action"], line["minute"], int(line["pin_id"])): line["count"] for line in lines if "count" in line
    } == {(action.label, minute, pin): count for (action, minute, pin), count in truth.cells().items()}


@settings(deadline=None, max_examples=20)
@given(plan=plans)
def test_truth_taken_in_parts_is_the_truth_of_the_whole(plan: Plan) -> None:
    try:
        traffic = Traffic(plan, Rules(), ANCHOR)
    except PlanRefused:
        return
    whole, parts = (Truth(traffic.pins, TOPICS, PARTITIONS) for _ in range(2))
    for slab in traffic.slabs():
        whole.add(slab)
        for start in range(0, len(slab), 7):
            parts.add(slab.part(start, start + 7))
    assert parts.outcomes == whole.outcomes
    assert parts.cells() == whole.cells()
