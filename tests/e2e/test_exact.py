"""Exact after every fault: whole workers on the real engines, killed, multiplied, cut off; then `verify` recounts."""

import json
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pintally.schemas.actions import Action
from pintally.schemas.experiments import EVERY
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.counting.test_user_hash import PUBLISHED, sip_hash
from tests.e2e.running import ASKED_S, Traffic, pintally, progress, verify, wait_caught_up, wait_for, workers
from tests.sinks.sealing import read
from tests.support.all_cells import all_cells
from tests.support.engines import TestEngines, topics_and_tables

SPARE_S = 600  # what a worker may be behind with what is final
TRAFFIC = ("--duplicates", "0.02", "--late", "0.005", "--broken", "0.005")


def counted(settings: Settings) -> Mapping[str, int]:
    """Counted events of each action, as the tables hold them."""
    cells = all_cells(ClickHouseSink(settings.clickhouse))
    return {action.label: int(cells.events[cells.action == action].sum()) for action in Action}


def wait_until_counted(settings: Settings, offsets: int) -> None:
    """Return once the ledger has recorded this many offsets."""
    wait_for(lambda: progress(settings)[0] >= offsets, 60, f"{offsets} offsets counted", ASKED_S)


def test_counts_are_exact_after_five_kills_at_different_moments(stack: Settings, tmp_path: Path) -> None:
    settings = stack.changed(slice_records=10_000)
    sent = 0
    with workers(settings, tmp_path) as start:
        for kill in range(5):
            worker = start()
            with Traffic(settings, "--events", "20000", "--seed", str(kill), *TRAFFIC) as traffic:
                wait_until_counted(settings, kill * 20_000 + 3_000 * kill + 500)
                time.sleep(0.05 * kill)  # different places within a flush
                worker.kill()
                sent += traffic.finish()["counted"]
        start()
        wait_caught_up(settings)
    verify(settings)
    assert sum(counted(settings).values()) == sent


def test_a_rebalance_from_one_to_three_workers_and_back_is_exact(stack: Settings, tmp_path: Path) -> None:
    settings = stack.changed(slice_records=10_000)
    with (
        workers(settings, tmp_path) as start,
        Traffic(settings, "--rate", "3000", "--seed", "8", *TRAFFIC) as traffic,
    ):
        start("one").wait_ready()
        others = [start("two"), start("three")]
        for other in others:
            other.wait_ready()
        wait_until_counted(settings, progress(settings)[0] + 5_000)
        assert others[0].stop() == 0
        others[1].kill()
        wait_until_counted(settings, progress(settings)[0] + 5_000)
        sent = traffic.stop()["counted"]
        wait_caught_up(settings)
    verify(settings)
    assert sum(counted(settings).values()) == sent


def test_counting_goes_on_while_clickhouse_is_down_and_is_exact_after(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    with (
        workers(stack, tmp_path) as start,
        Traffic(stack, "--rate", "3000", "--seed", "9", *TRAFFIC) as traffic,
    ):
        worker = start()
        wait_until_counted(stack, 2_000)
        restartable_engines.clickhouse.kill()
        wait_for(lambda: worker.said("ClickHouse is away"), 60, "a flush fails")
        sent = traffic.stop()["counted"]
        restartable_engines.clickhouse.start()
        restartable_engines.clickhouse.wait_ready()
        wait_caught_up(stack)
        assert worker.alive
    verify(stack)
    assert sum(counted(stack).values()) == sent


def test_counts_are_exact_after_a_restart_of_kafka(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    with workers(stack, tmp_path) as start:
        start()
        with Traffic(stack, "--events", "20000", "--seed", "10", *TRAFFIC) as traffic:
            sent = traffic.finish()["counted"]
        wait_until_counted(stack, 5_000)
        restartable_engines.kafka.stop()
        restartable_engines.kafka.start()
        restartable_engines.kafka.wait_ready()
        with Traffic(stack, "--events", "20000", "--seed", "11", *TRAFFIC) as traffic:
            sent += traffic.finish()["counted"]
        wait_caught_up(stack)
    verify(stack)
    assert sum(counted(stack).values()) == sent


def test_a_worker_stopped_past_its_session_ends_itself_and_counts_stay_exact(stack: Settings, tmp_path: Path) -> None:
    with (
        workers(stack, tmp_path) as start,
        Traffic(stack, "--rate", "3000", "--seed", "12", *TRAFFIC) as traffic,
    ):
        sleeper = start(None)
        wait_until_counted(stack, 2_000)
        sleeper.signal(signal.SIGSTOP)
        start(None).wait_ready()
        wait_until_counted(stack, progress(stack)[0] + 5_000)
        sleeper.signal(signal.SIGCONT)
        wait_for(lambda: sleeper.said("longer than a session"), 60, "the sleeper notices")
        sent = traffic.stop()["counted"]
        wait_caught_up(stack)
    verify(stack)
    assert sum(counted(stack).values()) == sent


def test_sigterm_ends_a_worker_with_everything_recorded(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        with Traffic(stack, "--events", "5000", "--seed", "13", *TRAFFIC) as traffic:
            traffic.finish()
        wait_caught_up(stack)
        assert worker.stop() == 0
    verify(stack)


def test_cells_and_users_are_those_of_the_emulators_own_truth(
    settings: Settings, engines: TestEngines, tmp_path: Path
) -> None:
    """A log with known surfaces, bots and users gives the known answers, and `verify` finds all of it exact."""
    stack = settings.changed(
        topic_timestamps="CreateTime", seal_seconds=0.5, count_users=True, user_key=PUBLISHED, least_users=1,
        experiments=EVERY,
    )  # fmt: skip
    truth = tmp_path / "truth.jsonl"
    sent = ("--events", "20000", "--span", "180", "--seed", "14", *TRAFFIC, "--bots", "0.1", "--truth", str(truth))
    with topics_and_tables(stack, engines.addresses), workers(stack, tmp_path) as start:
        worker = start()
        with Traffic(stack, *sent) as traffic:
            traffic.finish()
        wait_caught_up(stack)
        told = [json.loads(line) for line in truth.read_text().splitlines()]
        final = final_hours(stack, told)
        wait_for(lambda: sealed_hours(stack) >= final, 60, "users of all final hours are sealed", ASKED_S)
        assert worker.stop() == 0
        verify(stack)
        _compare_cells(stack, told)
        _compare_users(stack, told)
        _compare_flagged(stack, told)
        _compare_users_of_arms(stack, told)


def final_hours(settings: Settings, told: Sequence[Mapping[str, Any]]) -> set[int]:
    """The hours with events that are final and can be sealed, by the newest event."""
    newest = max(x["minute"] for x in told if "count" in x)
    ended = newest - settings.rules.allowed_lateness_seconds - 3_600 - SPARE_S
    return {hour for x in told if "count" in x and (hour := x["minute"] // 3_600 * 3_600) <= ended}


def sealed_hours(settings: Settings) -> set[int]:
    """The hours whose users are sealed, in seconds since 1970."""
    sql = "SELECT toUnixTimestamp(window_start) FROM user_seals FINAL WHERE resolution = 'hour' AND sets > 0"
    return {hour for (hour,) in read(settings.clickhouse, sql)}


def _compare_cells(settings: Settings, told: Sequence[Mapping[str, Any]]) -> None:
    expected = {
        (x["action"], x["minute"], int(x["pin_id"]), x["surface"], x["platform"]): (x["count"], x["trusted"])
        for x in told
        if "count" in x
    }
    rows = read(
        settings.clickhouse,
        "SELECT action, toUnixTimestamp(minute), pin_id, toString(surface), toString(platform),"
        " sum(events), sum(trusted) FROM pin_minutes FINAL GROUP BY 1, 2, 3, 4, 5",
    )
    found = {(Action(action).label, *key): (events, trusted) for action, *key, events, trusted in rows}
    assert found == expected
    assert sum(events - trusted for events, trusted in found.values()) > 700, "every other bot hammers"


def _compare_users(settings: Settings, told: Sequence[Mapping[str, Any]]) -> None:
    """Of pins and hours, by surface too: exact up to 100 users, above within two hundredths."""
    hours, names = sealed_hours(settings), ["users", *(f"{action.column}_users" for action in Action)]
    expected = {
        (x["hour"], int(x["pin_id"]), x["surface"]): [x[name] for name in names]
        for x in told
        if "users" in x and x["hour"] in hours
    }
    found: dict[tuple[Any, ...], list[int]] = {}
    for view, surface in (("pin_users_1h", "NULL"), ("pin_surface_users_1h", "toString(surface)")):
        sql = f"SELECT toUnixTimestamp(window_start), pin_id, {surface}, [{', '.join(names)}] FROM {view}"
        found |= {tuple(key): numbers for *key, numbers in read(settings.clickhouse, sql)}
    assert found.keys() == expected.keys()
    pairs = [(n, known) for key, numbers in expected.items() for n, known in zip(found[key], numbers, strict=True)]
    assert [pair for pair in pairs if abs(pair[0] - pair[1]) > (pair[1] / 50 if pair[1] > 100 else 0)] == []
    assert max(known for _, known in pairs) > 100


def _compare_flagged(settings: Settings, told: Sequence[Mapping[str, Any]]) -> None:
    """The flagged users of each hour are those that did more than the limit, and among them is each bot that did."""
    hours, above = sealed_hours(settings), settings.worker.flagged_above
    busy = [x for x in told if "is_bot" in x and x["hour"] in hours and x["events"] > above]
    flagged = read(
        settings.clickhouse,
        "SELECT toUnixTimestamp(hour), user_hash, events, pins FROM flagged_users"
        " WHERE seal IN (SELECT rows_seal FROM user_seals FINAL WHERE resolution = 'hour')",
    )
    hashed = {x["user_id"]: sip_hash(PUBLISHED, int(x["user_id"]).to_bytes(8, "little")) for x in busy}
    assert sorted(flagged) == sorted((x["hour"], hashed[x["user_id"]], x["events"], x["pins"]) for x in busy)
    assert {x["pins"] > 1 for x in busy if x["is_bot"]} == {True, False}, "bots that hammer, and bots that roam"


def _compare_users_of_arms(settings: Settings, told: Sequence[Mapping[str, Any]]) -> None:
    """Exact, by the view and by the command. Nobody is in two arms."""
    expected = {x["arm"]: x["users_of_arm"] for x in told if "users_of_arm" in x}
    asked = "experiment = 'ranker_q4', since = '2000-01-01 00:00:00', until = '2100-01-01 00:00:00'"
    rows = read(settings.clickhouse, f"SELECT arm, users, in_several_arms FROM experiment_users({asked}) ORDER BY arm")
    assert rows == [(arm, expected[arm], 0) for arm in ("control", "treatment")]
    assert min(expected.values()) > 100
    done = pintally(settings, "experiment", "ranker_q4", "--json", timeout=60)
    shown = {arm["arm"]: arm for arm in json.loads(done.stdout)["users"]}
    assert {arm: of["users"] for arm, of in shown.items()} == expected
    assert not shown["treatment"]["sample_ratio_alarm"]


def test_a_worker_without_topics_says_what_to_do(settings: Settings) -> None:
    done = pintally(settings, "worker", timeout=60)
    assert done.returncode == 2
    assert "pintally migrate" in done.stderr
    assert "Traceback" not in done.stderr
