"""Whole workers over two real servers of ClickHouse: exact by the sum over shards, whatever happens to one of them."""

import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import TopicPartition

from pintally.schemas.actions import Action
from pintally.schemas.shards import Place, shard_of, shard_sql
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.admin import open_admin
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from pintally.tools.engines import Engines
from tests.e2e.running import ASKED_S, Traffic, pintally, verify, wait_for, workers
from tests.e2e.shards import alone, ask, log_end, over_shards, recorded, said
from tests.e2e.test_backup import BACK_UP, RESTORE, run

TRAFFIC = ("--duplicates", "0.02", "--late", "0.005", "--broken", "0.005")
Cell = tuple[str, int, int, str, str]  # action, minute, pin, surface, platform
CELLS = """
SELECT action, toUInt32(minute), pin_id, toString(surface), toString(platform), sum(events)
FROM {database}.minutes_read GROUP BY ALL HAVING sum(events) > 0
"""


@pytest.fixture
def settings(two_shards: Engines, tmp_path: Path) -> Iterator[Settings]:
    """Topics, group and databases of one test."""
    with over_shards(two_shards, tmp_path) as made:
        yield made


def wait_counted(settings: Settings, more: int = 1_000) -> None:
    """Return once each shard has recorded so many more offsets."""
    before = max(recorded(settings))
    wait_for(lambda: min(recorded(settings)) >= before + more, 60, f"{more} more offsets on each shard", ASKED_S)


def inserts(address: ClickHouseAddress) -> list[tuple[Any, ...]]:
    """Those that run: of a worker that was killed, one may still be applied."""
    of_ours = "query_kind = 'Insert' AND current_database = '{database}'"
    return ask(address, f"SELECT query FROM system.processes WHERE {of_ours}")


def expected(*files: Path) -> Counter[Cell]:
    """The truth that emulators have written."""
    cells: Counter[Cell] = Counter()
    for line in (line for file in files for line in file.read_text().splitlines()):
        if "pin_id" in (said := json.loads(line)):
            key = said["action"], said["minute"], int(said["pin_id"]), said["surface"], said["platform"]
            cells[key] += said["count"]
    return cells


def on_shard(address: ClickHouseAddress) -> dict[Cell, int]:
    rows = ask(address, CELLS)
    return {(Action(action).label, *cell): events for action, *cell, events in rows}


def assert_exact(settings: Settings, truth: Counter[Cell]) -> None:
    """Every cell is on the shard of its pin, and there alone; hours and ledgers say the same."""
    end, shards = log_end(settings), len(settings.clickhouse.shards)
    wait_for(lambda: set(recorded(settings)) == {end}, 120, "the ledger of each shard is at the end", ASKED_S)
    by_shard = [on_shard(address) for address in settings.clickhouse.shards]
    pins = np.array([cell[2] for cell in truth], np.uint64)
    must: list[dict[Cell, int]] = [{} for _ in range(shards)]
    for (cell, count), number in zip(truth.items(), shard_of(pins, shards).tolist(), strict=True):
        must[number][cell] = count
    assert by_shard == must
    for number, address in enumerate(settings.clickhouse.shards):
        astray = f"SELECT count() FROM {{database}}.pin_minutes WHERE {shard_sql(shards)} != {number}"
        assert ask(address, astray) == [(0,)]
        total = "sum(saves + clicks + closeups)"
        assert ask(address, f"SELECT {total} FROM {{database}}.pin_engagement_1h") == [(sum(must[number].values()),)]
        assert ask(address, "SELECT sum(counted) FROM {database}.ingest_ledger FINAL") == [(truth.total(),)]


def assert_answered(settings: Settings, truth: Counter[Cell]) -> None:
    """What commands say of all shards is what was sent."""
    assert said(settings, "status")["lag"] == 0
    hours: Counter[int] = Counter()
    for (_, minute, *_), count in truth.items():
        hours[minute // 3600 * 3600] += count
    [(hour, _)] = hours.most_common(1)
    pins: Counter[int] = Counter()
    for (_, minute, pin, _, _), count in truth.items():
        pins[pin] += count * (minute // 3600 * 3600 == hour)
    start = datetime.fromtimestamp(hour, UTC).strftime("%Y-%m-%dT%H:%M")
    top = said(settings, "top", "--window", start, "--limit", "50")["pins"]
    found = [(int(pin["pin_id"]), sum(pin[action.column] for action in Action)) for pin in top]
    assert found == sorted(pins.items(), key=lambda each: (-each[1], each[0]))[:50]
    shards = len(settings.clickhouse.shards)
    assert {shard_of(np.array([pin], np.uint64), shards)[0] for pin, _ in found} == set(range(shards))
    for pin, _ in found[:4]:
        surfaces = said(settings, "breakdown", str(pin), "--hours", "48")["surface"]
        assert sum(label[action.column] for label in surfaces for action in Action) == sum(
            count for cell, count in truth.items() if cell[2] == pin
        )
    assert_at_a_cut(settings, [pin for pin, _ in found])


def assert_at_a_cut(settings: Settings, pins: list[int]) -> None:
    """Features and rankings are of one cut, and both say the same."""
    features, top = wait_for(lambda: of_one_cut(settings, pins), 60, "both were asked at one cut")
    assert [pin["pin_id"] for pin in features["pins"]] == [str(pin) for pin in pins]
    by_pin = {pin["pin_id"]: pin for pin in top["pins"]}
    for pin in features["pins"]:
        for action in Action:
            counted = by_pin.get(pin["pin_id"], {action.column: 0})[action.column]
            assert counted == pin[f"{action.column}_24h"]


def of_one_cut(settings: Settings, pins: list[int]) -> tuple[Any, Any] | None:
    """Features and the ranking of 24 hours, unless a cut was published in between."""
    features = said(settings, "features", *map(str, pins))
    top = said(settings, "top", "--window", "24h", "--limit", "10000")
    return (features, top) if top["as_of"] == features["as_of"] is not None else None


def sealed_hours(settings: Settings) -> list[int]:
    return [ask(each, "SELECT count() FROM {database}.sealed")[0][0] for each in settings.clickhouse.shards]


@pytest.mark.engines
def test_shards_killed_and_workers_killed_leave_every_count_on_its_shard_and_exact(
    two_shards: Engines, settings: Settings, tmp_path: Path
) -> None:
    """C33 to C35."""
    earlier, now = tmp_path / "earlier", tmp_path / "now"
    with workers(settings, tmp_path) as start:
        worker = start()
        with Traffic(settings, "--events", "20000", "--span", "240", "--truth", str(earlier), *TRAFFIC) as traffic:
            traffic.finish()
        with Traffic(settings, "--rate", "1500", "--seed", "2", "--truth", str(now), *TRAFFIC) as traffic:
            wait_counted(settings)
            for number in (1, 0):
                two_shards.shards[number].kill()
                wait_for(lambda: worker.said("does not answer"), 60, "flushes wait for the shard")
                two_shards.shards[number].start()
                two_shards.shards[number].wait_ready(120)
                wait_counted(settings)
            worker.kill()
            start()
            wait_counted(settings)
            traffic.stop()
        assert_exact(settings, expected(earlier, now))
        wait_for(lambda: min(sealed_hours(settings)) > 0, 60, "hours are sealed on each shard", ASKED_S)
        assert_exact(settings, expected(earlier, now))
        verify(settings)
        assert_answered(settings, expected(earlier, now))


@pytest.mark.engines
def test_a_shard_that_is_restored_from_its_own_copy_is_counted_again(settings: Settings, tmp_path: Path) -> None:
    """C35: the other shard stays as it is."""
    truth, folder = tmp_path / "truth", uuid.uuid4().hex
    second = alone(settings, 1)
    with workers(settings, tmp_path) as start:
        worker = start()
        with Traffic(settings, "--rate", "1500", "--truth", str(truth), *TRAFFIC) as traffic:
            wait_counted(settings)
            run(second, BACK_UP, folder)
            wait_counted(settings, 3_000)
            worker.kill()
            wait_for(lambda: not any(map(inserts, settings.clickhouse.shards)), 60, "its last inserts have ended")
            before = recorded(settings)
            run(second, RESTORE, folder)
            after = recorded(settings)
            assert after[0] == before[0]
            assert 0 < after[1] < before[1]
            start()
            wait_counted(settings)
            traffic.stop()
        assert_exact(settings, expected(truth))
        verify(settings)


@pytest.mark.engines
def test_a_shard_that_is_restored_from_before_a_change_of_rules_is_refused_until_it_is_repaired(
    settings: Settings, tmp_path: Path
) -> None:
    """C34: it lacks slices before the epoch that the other shard has begun."""
    truths, folder, second = [tmp_path / f"truth-{number}" for number in range(3)], uuid.uuid4().hex, alone(settings, 1)
    settings = settings.changed(slice_records=200)
    changed = settings.changed(max_clock_skew_seconds=600)
    with workers(settings, tmp_path) as start:
        worker = start(None)  # it leaves the group when it stops
        count_more(settings, truths[0])
        run(second, BACK_UP, folder)
        count_more(settings, truths[1])
        assert worker.stop() == 0
    assert pintally(changed, "rules", "apply", "--yes").returncode == 0
    run(second, RESTORE, folder)
    with workers(changed, tmp_path) as start:
        worker = start(None)
        assert worker.process.wait(120) == 2
        assert worker.said("pintally repair")
    assert said(changed, "repair")["repaired"]
    with workers(changed, tmp_path) as start:
        start()
        count_more(changed, truths[2])
        assert_exact(changed, expected(*truths))
    verify(changed)


@pytest.mark.engines
def test_what_one_shard_lacks_and_the_log_too_is_given_up_for_that_shard_alone(
    settings: Settings, tmp_path: Path
) -> None:
    """C34: a shard is restored from its own copy, and retention has deleted what it lacks."""
    truths, folder, second = [tmp_path / f"truth-{number}" for number in range(3)], uuid.uuid4().hex, alone(settings, 1)
    settings = settings.changed(slice_records=200)
    with workers(settings, tmp_path) as start:
        worker = start(None)
        count_more(settings, truths[0])
        run(second, BACK_UP, folder)
        count_more(settings, truths[1])
        assert worker.stop() == 0
    run(second, RESTORE, folder)
    delete_all_but(settings, 20)
    with workers(settings, tmp_path) as start:
        worker = start(None)
        assert worker.process.wait(120) == 2
        assert worker.said("pintally accept-loss")
    words = wait_for(lambda: accepted(settings), 60, "the worker that was refused has left the group")
    assert "not counted on shard 1 from offset" in words
    assert "not counted on shard 0" not in words
    assert "no new losses" in pintally(settings, "accept-loss", "--yes").stdout
    with workers(settings, tmp_path) as start:
        start()
        count_more(settings, truths[2])
    whole, without = expected(*truths), expected(truths[0], truths[2])
    for number, address in enumerate(settings.clickhouse.shards):
        must = without if number else whole
        pins = {cell[2] for cell in must}
        own = {pin for pin in pins if shard_of(np.array([pin], np.uint64), 2)[0] == number}
        assert on_shard(address) == {cell: events for cell, events in must.items() if cell[2] in own}
    verify(settings)
    assert any("shard 1" in each["note"] for each in said(settings, "status")["lost"])


def accepted(settings: Settings) -> str:
    """What `accept-loss` says; nothing while a worker is in the group."""
    done = pintally(settings, "accept-loss", "--yes", "--note", "backups failed")
    assert done.returncode == 0 or "Stop all workers" in done.stderr, done.stderr
    return done.stdout if done.returncode == 0 else ""


def delete_all_but(settings: Settings, last: int) -> None:
    """As retention does, but for the last records of each partition."""
    sink = ClickHouseSink(settings.clickhouse, only_reads=True, place=Place(0, 2))
    ends = {each.source: each.log_end for each in read_progress(settings.kafka, settings.topics, sink)}
    before = {TopicPartition(at.topic, at.partition): max(0, end - last) for at, end in ends.items()}
    with open_admin(settings.kafka) as admin:
        admin.delete_records(before)


def count_more(settings: Settings, truth: Path) -> None:
    """Return once some more events are counted on each shard."""
    with Traffic(settings, "--events", "3000", "--seed", truth.name[-1], "--truth", str(truth)) as traffic:
        traffic.finish()
    end = log_end(settings)
    wait_for(lambda: set(recorded(settings)) == {end}, 120, "the ledger of each shard is at the end", ASKED_S)


@pytest.mark.engines
def test_a_shard_that_moves_to_another_server_is_counted_on_there(
    two_shards: Engines, settings: Settings, tmp_path: Path
) -> None:
    """Decision 26: three shards on two servers, of which one moves while workers count."""
    first, second = settings.clickhouse.shards
    name, third = f"{first.database}third", f"{second.host}:{second.port}:{second.http_port}"
    near = settings.changed(shards=3, clickhouse_other_shards=f"{first.host}/{name},{third}")
    far = settings.changed(shards=3, clickhouse_other_shards=f"{third}/{name},{third}")
    fresh = {"clickhouse_database": f"{first.database}of_three", "kafka_group_id": f"{first.database}of_three"}
    near, far, truths = (
        near.changed(**fresh),
        far.changed(**fresh),
        [tmp_path / f"truth-{number}" for number in range(2)],
    )
    done = pintally(near, "migrate")
    assert done.returncode == 0, done.stderr
    with workers(near, tmp_path) as start:
        worker = start(None)
        count_more(near, truths[0])
        move(two_shards, near, 1)
        count_more(near, truths[1])
        assert worker.stop() == 0
    ask(near.clickhouse.shards[1], "DROP DATABASE {database} SYNC")
    assert pintally(near, "status").returncode == 2
    assert pintally(far, "migrate").returncode == 0
    with workers(far, tmp_path) as start:
        start()
        assert_exact(far, expected(*truths))
        verify(far)
        assert_answered(far, expected(*truths))


def move(two_shards: Engines, settings: Settings, number: int) -> None:
    """Copy a shard of server 0 to server 1, as docs/cluster.md says."""
    copy, (source, target) = uuid.uuid4().hex, (two_shards.shards[at]._program.folder for at in (0, 1))
    run(alone(settings, number), BACK_UP, copy)
    shutil.copytree(source / "backups" / copy, target / "backups" / copy)
    there = settings.clickhouse.shards[-1]
    at = {"clickhouse_port": there.port, "clickhouse_http_port": there.http_port}
    run(alone(settings, number).changed(**at), RESTORE, copy)


@pytest.mark.engines
def test_shards_in_another_order_or_of_another_number_are_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    """C33: else a pin would be counted on two shards."""
    first, _ = settings.clickhouse.shards
    swapped = alone(settings, 1).changed(shards=2, clickhouse_other_shards=f"{first.host}:{first.port}")
    with workers(settings, tmp_path) as start:
        start().wait_ready()
        wait_for(lambda: ask(first, "SELECT count() FROM {database}.ingest_starts") > [(5,)], 60, "sources have begun")
    with workers(swapped, tmp_path) as start:
        worker = start()
        assert worker.process.wait(120) == 2
        assert worker.said("is shard 1 of 2, the settings say shard 0 of 2")
    assert pintally(swapped, "migrate").returncode == 2
    with workers(alone(settings, 0), tmp_path) as start:
        worker = start()
        assert worker.process.wait(120) == 2
        assert worker.said("counted with PINTALLY_SHARDS=2")


@pytest.mark.engines
def test_verify_names_what_is_on_another_shard_and_what_one_shard_lacks(settings: Settings, tmp_path: Path) -> None:
    """C33, C34: each difference on the shard where it is."""
    first, second = settings.clickhouse.shards
    with workers(settings, tmp_path) as start:
        start()
        with Traffic(settings, "--events", "3000", "--pins", "50", *TRAFFIC) as traffic:
            traffic.finish()
        end = log_end(settings)
        wait_for(lambda: recorded(settings) == [end, end], 120, "the ledger of each shard is at the end", ASKED_S)
    verify(settings)
    pin = max(cell[2] for cell in on_shard(first))
    moved = f"remote('{first.host}:{first.port}', '{{database}}', 'pin_minutes')"
    ask(second, f"INSERT INTO {{database}}.pin_minutes SELECT * FROM {moved} WHERE pin_id = {pin}")
    by_shard = found_by_verify(settings)
    assert by_shard[1]["row_extra"] > 0
    assert by_shard[0].keys() <= {"invariant"}  # the ledger of each has the sums of all shards
    ask(second, f"ALTER TABLE {{database}}.pin_minutes DELETE WHERE pin_id = {pin} SETTINGS mutations_sync = 1")
    verify(settings)
    ask(first, f"ALTER TABLE {{database}}.pin_minutes DELETE WHERE pin_id = {pin} SETTINGS mutations_sync = 1")
    by_shard = found_by_verify(settings)
    assert by_shard[0]["row_missing"] > 0
    assert by_shard[1].keys() <= {"invariant"}
    assert said(settings, "repair")["repaired"]
    verify(settings)
    take_slice_away(second)
    assert found_by_verify(settings)[1]["slice_gap"] > 0
    assert said(settings, "repair")["repaired"]
    verify(settings)


def take_slice_away(shard: ClickHouseAddress) -> None:
    """A slice between two others of its source, and its cells."""
    asked = "SELECT source, slice_block, arrived_at FROM {database}.ingest_ledger FINAL ORDER BY source, start"
    rows = ask(shard, asked)
    middle = [
        now for before, now, after in zip(rows, rows[1:], rows[2:], strict=False) if before[0] == now[0] == after[0]
    ]
    source, block, arrived = middle[0]
    for table in ("ingest_ledger", "pin_minutes"):
        where = f"source = {source} AND slice_block = {block} AND arrived_at = '{arrived:%F %T}'"
        ask(shard, f"ALTER TABLE {{database}}.{table} DELETE WHERE {where} SETTINGS mutations_sync = 1")


def found_by_verify(settings: Settings) -> list[dict[str, int]]:
    """The kinds of differences on each shard, with how many there are."""
    done = pintally(settings, "verify", "--json", "--processes", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    return [each["findings"] for each in json.loads(done.stdout)["shards"]]


@pytest.mark.engines
def test_clickhouse_and_numpy_agree_on_the_shard_of_a_pin(two_shards: Engines) -> None:
    shard = Settings.of(None, **two_shards.addresses.settings()).clickhouse.shards[0]
    pins = np.random.default_rng(1).integers(0, 2**64, 2_000, np.uint64, endpoint=False)
    pins[:4] = 0, 1, 2**63, 2**64 - 1
    for shards in (2, 3, 7):
        listed = ",".join(f"toUInt64({pin})" for pin in pins.tolist())
        asked = ask(shard, f"SELECT groupArray({shard_sql(shards, 'p')}) FROM (SELECT arrayJoin([{listed}]) AS p)")
        assert asked[0][0] == shard_of(pins, shards).tolist()
