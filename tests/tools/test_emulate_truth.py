"""The truth the emulator tells is what the counting rules say of the log it makes, on topics of both kinds."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, HOUR_MS, MINUTE_MS, Rules
from pintally.streams.settings import Settings
from pintally.tools.emulate.arms import EXPERIMENT
from pintally.tools.emulate.placed import Placed
from pintally.tools.emulate.plan import Plan, PlanRefused
from pintally.tools.emulate.traffic import Slab, Traffic
from pintally.tools.emulate.truth import HOUR_SECONDS, ArmHour, LabelledCell, Truth
from pintally.tools.emulate.truth_busy import MOST
from tests.support.reference import LogRecord, Recount, parse, recount

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
    bots=st.sampled_from([0.0, 0.0, 0.1, 0.9]),
    effect=st.sampled_from([0.0, 0.0, 0.5, -1.0]),
)
all_rules = st.builds(
    Rules,
    allowed_lateness_ms=st.sampled_from([60_000, 600_000, 3_600_000, 86_400_000]),
    max_clock_skew_ms=st.sampled_from([0, 300_000]),
    retention_ms=st.just(7 * 86_400_000),
    slice_records=st.sampled_from([1, 2, 5, 6, 100, 250_000]),
    dedup=st.booleans(),
    breakdown=st.sampled_from([True, True, False]),
    trusted_cap=st.sampled_from([0, 1, 2, 5]),
    user_key=st.sampled_from(["", "0badcafe"]),
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


def partitioned(
    traffic: Traffic, slabs: list[Slab], place: Place
) -> tuple[dict[tuple[Action, int], list[LogRecord]], list[Placed]]:
    """The log of each partition that got a record, and where the records of each slab are."""
    log: dict[tuple[Action, int], list[LogRecord]] = defaultdict(list)
    timestamps, placed = iter(stamped(traffic, slabs, place)), []
    for slab in slabs:
        placed.append(Placed(np.full(len(slab), -1), np.full(len(slab), -1)))
        for index, value in enumerate(slab.values):
            action = Action(slab.action[index])
            partition = int(traffic.pins.partitions(slab.pin[index : index + 1], PARTITIONS[action])[0])
            records = log[action, partition]
            records.append(LogRecord(place.first_offset + len(records), next(timestamps), value))
            placed[-1].offsets[index], placed[-1].timestamps[index] = records[-1].offset, records[-1].timestamp
    return log, placed


def stamped(traffic: Traffic, slabs: list[Slab], place: Place) -> list[int]:
    """The Kafka timestamps of all records, in order."""
    arrivals = [at for slab in slabs for at in slab.arrival.tolist()]
    if not place.append_time:
        return arrivals
    wait = traffic.margins.slack * place.late_by / max(1, len(arrivals))
    # A duplicate is not that far behind its original: they go out within one slab, which takes no minutes.
    wait = min(wait, ARRIVAL_BUCKET_MS / 2 / (3 * traffic.margins.duplicate_gap + 2))
    return [(at if traffic.plan.live else ANCHOR) + int(n * wait) for n, at in enumerate(arrivals)]


def labelled(
    records: list[LogRecord], recounted: Recount, rules: Rules, action: Action
) -> Iterator[tuple[LabelledCell, bool, int]]:
    """The cell of each counted record, whether it is trusted, and its user. No slice has more labels than keep their
    own.
    """
    values = {record.offset: record.value for record in records}
    slices = {offset: cell[:2] for cell, offsets in recounted.counted.items() for offset in offsets}
    earlier: Counter[tuple[tuple[int, ...], int, int]] = Counter()
    for offset in sorted(slices):
        event = parse(values[offset], action)
        assert event is not None
        labels = (event.surface or "unknown", event.platform or "unknown") if rules.breakdown else ("unknown",) * 2
        cell = action, event.occurred_at // MINUTE_MS * 60, event.pin_id, *labels
        by = slices[offset], event.user_id, event.pin_id
        yield cell, rules.trusted_cap == 0 or earlier[by] < rules.trusted_cap, event.user_id
        earlier[by] += 1


def arms_counted(records: list[LogRecord], recounted: Recount, action: Action) -> Iterator[tuple[ArmHour, int]]:
    """The arm of each counted record that names one, and the user."""
    values = {record.offset: record.value for record in records}
    for offset in (offset for offsets in recounted.counted.values() for offset in offsets):
        event = parse(values[offset], action)
        assert event is not None
        for experiment, arm in (event.experiments or {}).items():
            assert experiment == EXPERIMENT
            yield (arm, action, event.occurred_at // HOUR_MS * HOUR_SECONDS), event.user_id


Told = dict[tuple[int, int, str | None], tuple[int, ...]]  # hour, pin, surface -> users, and those of each action


def told_of(users: dict[tuple[int, int, str | None], set[tuple[int, Action]]]) -> Told:
    """The numbers of distinct users."""
    return {
        group: (len({user for user, _ in found}), *(sum(action is by for _, by in found) for action in Action))
        for group, found in users.items()
    }


def told_users(truth: Truth) -> Told:
    """The numbers of users that the lines tell."""
    lines = [line for line in map(json.loads, truth.lines()) if "users" in line]
    return {
        (line["hour"], int(line["pin_id"]), line["surface"]):
            (line["users"], *(line[f"{action.column}_users"] for action in Action))
        for line in lines
    }  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(plan=plans, rules=all_rules, place=places)
def test_the_truth_is_what_the_rules_say_of_the_log(plan: Plan, rules: Rules, place: Place) -> None:
    try:
        traffic = Traffic(plan, rules, ANCHOR)
    except PlanRefused:
        return
    truth = Truth(traffic.pins, TOPICS, PARTITIONS, rules)
    slabs = list(traffic.slabs())
    log, placed = partitioned(traffic, slabs, place)
    for slab, at in zip(slabs, placed, strict=True):
        truth.add(slab, at)
    outcomes: Counter[tuple[str, int, Outcome]] = Counter()
    cells: Counter[LabelledCell] = Counter()
    arms: Counter[ArmHour] = Counter()
    users_of_arms: dict[str, set[int]] = defaultdict(set)
    trusted: Counter[LabelledCell] = Counter()
    users: dict[tuple[int, int, str | None], set[tuple[int, Action]]] = defaultdict(set)
    pins: dict[tuple[int, int], list[int]] = defaultdict(list)  # of an hour and user, one an event
    for (action, partition), records in log.items():
        stream_time = ANCHOR - place.stream_time_before
        end = place.first_offset + len(records)
        recounted = recount(records, place.first_offset, end, rules.without_users, action, stream_time)
        for outcome in recounted.outcomes.values():
            outcomes[TOPICS[action], partition, Outcome[outcome.upper()]] += 1
        for arm, user in arms_counted(records, recounted, action):
            arms[arm] += 1
            users_of_arms[arm[0]].add(user)
        for cell, is_trusted, user in labelled(records, recounted, rules, action):
            cells[cell] += 1
            trusted[cell] += is_trusted
            for surface in (cell[3], None):
                users[cell[1] // 3600 * 3600, cell[2], surface].add((user, action))
            pins[cell[1] // 3600 * 3600, user].append(cell[2])
    assert truth.outcomes == outcomes
    assert truth.arms == arms
    assert truth.users_of_arms() == ({arm: len(of) for arm, of in users_of_arms.items()} if rules.user_key else {})
    told = truth.labelled()
    assert {cell: counts.events for cell, counts in told.items()} == cells
    assert told_users(truth) == (told_of(users) if rules.user_key else {})
    busy = [(*of, len(each), len(set(each))) for of, each in sorted(pins.items()) if len(each) > MOST]
    assert truth.busy() == (busy if rules.user_key else [])
    if all(records[0].timestamp >= ANCHOR - place.stream_time_before for records in log.values()):
        assert told == {cell: (count, trusted[cell]) for cell, count in cells.items()}


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
    told = [line for line in lines if "count" in line]
    assert {
        (line["action"], line["minute"], int(line["pin_id"]), line["surface"], line["platform"]): line["count"]
        for line in told
    } == {(action.label, *rest): counts.events for (action, *rest), counts in truth.labelled().items()}
    assert all(line["trusted"] is None for line in told), "nobody said where the records are"


@settings(deadline=None, max_examples=20)
@given(plan=plans)
def test_truth_taken_in_parts_is_the_truth_of_the_whole(plan: Plan) -> None:
    try:
        traffic = Traffic(plan, Rules(slice_records=30), ANCHOR)
    except PlanRefused:
        return
    whole, parts = (Truth(traffic.pins, TOPICS, PARTITIONS, traffic.rules) for _ in range(2))
    slabs = list(traffic.slabs())
    _, placed = partitioned(traffic, slabs, Place(0, 0, append_time=False, late_by=0))
    for slab, at in zip(slabs, placed, strict=True):
        whole.add(slab, at)
        for start in range(0, len(slab), 7):
            end = start + 7
            parts.add(slab.part(start, end), Placed(at.offsets[start:end], at.timestamps[start:end]))
            parts.labelled()  # a look changes nothing
    assert parts.outcomes == whole.outcomes
    assert parts.labelled() == whole.labelled()


# A `pintally` that is told to stop when half of the truth is written.
TOLD_LATE = """
import os, runpy, signal
from pintally.tools.emulate.truth import Truth

whole = Truth.lines

def lines(self):
    for number, line in enumerate(whole(self)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        yield line

Truth.lines = lines
runpy.run_module("pintally.cli", run_name="__main__", alter_sys=True)
"""


def test_who_is_told_to_stop_while_it_writes_the_truth_writes_all_of_it(stack: Settings, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", TOLD_LATE, "emulate", "--events", "50", "--truth", str(path)],
        env=stack.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in path.read_text().splitlines()]
    counted = sum(each["records"] for each in told if each.get("outcome") == "counted")
    assert sum(each.get("count", 0) for each in told) == counted > 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_truth_that_cannot_be_written_whole_leaves_no_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(_: Truth) -> Iterator[str]:
        yield "{}"
        raise OSError("no space left on device")

    monkeypatch.setattr(Truth, "lines", lines)
    with pytest.raises(OSError, match="no space"):
        Truth.__new__(Truth).write(tmp_path / "truth.jsonl")
    assert not (tmp_path / "truth.jsonl").exists()
