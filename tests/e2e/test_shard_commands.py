"""What commands and readers say of two shards is what they say of one server that counted the same log."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pintally.features import FeatureReader
from pintally.features.breakdowns import Breakdown, Resolution
from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.shards import shard_of
from pintally.serve.verified import read_runs
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.maintained_shards import MaintainedShardsSession
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.change.epoch_starts import apply_change
from pintally.streams.operations.change.rules import plan_rules
from pintally.streams.settings import Settings
from pintally.streams.worker.servers import maintained_sink_of
from pintally.tools.emulate.arms import EXPERIMENT
from pintally.tools.engines import Engines
from tests.counting.test_user_hash import PUBLISHED
from tests.e2e.running import ASKED_S, Traffic, pintally, verify, wait_for, workers
from tests.e2e.shards import alone, ask, log_end, over_shards, recorded
from tests.e2e.test_dlq import HOUR_MS, event, now, produce
from tests.serve.serving import Serve, serving

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

PINS = [int(np.flatnonzero(shard_of(np.arange(1, 100, dtype=np.uint64), 2) == number)[0]) + 1 for number in (0, 1)]
ON_TIME, BROKEN, LATE = ([str(uuid.uuid4()) for _ in PINS] for _ in range(3))  # events of a pin on each shard
SEALED = """
WITH (
    SELECT min(reached)
    FROM (
        SELECT fromUnixTimestamp64Milli(max(stream_time), 'UTC') AS reached
        FROM {database}.ingest_ledger GROUP BY source
    )
) AS passed
SELECT
    (SELECT count() > 1 AND max(window_start) + INTERVAL 1 HOUR >= toStartOfHour(passed - INTERVAL 1 HOUR)
     FROM {database}.sealed WHERE resolution = 'hour'),
    (SELECT max(cut) FROM {database}.cuts) >= toStartOfInterval(passed, INTERVAL 10 MINUTE) - INTERVAL 10 MINUTE
"""


@dataclass(frozen=True)
class Counted:
    """One log, counted over two shards and by one server."""

    shards: Settings
    one: Settings


@pytest.fixture(scope="module")
def counted(two_shards: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """The log of some hours with records of all outcomes; its workers are stopped, and hours are sealed."""
    folder = tmp_path_factory.mktemp("counted")
    with over_shards(two_shards, folder, experiments="*", count_users=True, user_key=PUBLISHED) as shards:
        name = f"{shards.clickhouse.database}one"
        one = alone(shards, 0).changed(clickhouse_database=name, kafka_group_id=name)
        done = pintally(one, "migrate")
        assert done.returncode == 0, done.stderr
        with Traffic(shards, "--events", "20000", "--span", "240", "--pins", "500") as traffic:
            traffic.finish()
        timely = [in_arms(event(str(pin), event_id=each)) for pin, each in zip(PINS, ON_TIME, strict=True)]
        late = [event(str(pin), now() - 5 * HOUR_MS, each) for pin, each in zip(PINS, LATE, strict=True)]
        produce(shards, [*timely, *timely, *late, *(event("five", event_id=each) for each in BROKEN)])
        kill_each(two_shards, shards, folder)
        for settings in (shards, one):
            count(settings, folder / settings.clickhouse.database)
        date_cuts(*shards.clickhouse.shards, one.clickhouse)
        yield Counted(shards, one)


def in_arms(value: bytes) -> bytes:
    """The event in arms of two experiments, one of which emulated events name too."""
    return json.dumps({**json.loads(value), "experiments": {EXPERIMENT: "treatment", "feed": "a"}}).encode()


def kill_each(two_shards: Engines, settings: Settings, folder: Path) -> None:
    """Count some of the log, while each shard's server is killed and comes back, and then the worker."""
    with workers(settings, folder) as start, Traffic(settings, "--rate", "500", "--seed", "2") as traffic:
        worker = start()
        for number in (1, 0):
            count_some(settings)
            two_shards.shards[number].kill()
            wait_for(lambda: worker.said("does not answer"), 60, "flushes wait for the shard")
            two_shards.shards[number].start()
            two_shards.shards[number].wait_ready(120)
        worker.kill()
        traffic.stop()


def count_some(settings: Settings) -> None:
    """Return once each shard has recorded more offsets."""
    before = max(recorded(settings))
    wait_for(lambda: min(recorded(settings)) > before, 60, "something is counted on each shard", ASKED_S)


def count(settings: Settings, folder: Path) -> None:
    """Count the whole log, and seal what is final."""
    folder.mkdir()
    with workers(settings, folder) as start:
        worker = start()
        wait_for(lambda: is_recorded(settings), 120, "each ledger is at the end of the log", ASKED_S)
        wait_for(lambda: is_sealed(settings), 60, "hours are sealed and cuts published", ASKED_S)
        assert worker.stop() == 0


def date_cuts(*servers: ClickHouseAddress) -> None:
    """Leave all with the same newest cut, and each cut published where workers that follow the log publish it: within a
    minute, and on each server at its own moment."""
    newest = min(ask(each, "SELECT max(cut) FROM {database}.cuts")[0][0] for each in servers)
    kept = "SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), min(seal) FROM {database}.cuts GROUP BY ALL"
    for number, each in enumerate(servers):
        cuts = [row for row in ask(each, kept) if row[0] <= newest.timestamp()]
        ask(each, "TRUNCATE TABLE {database}.cuts")
        ask(
            each,
            "INSERT INTO {database}.cuts (cut, hours_until, published_at, seal) SELECT toDateTime(c.1, 'UTC'),"
            f" toDateTime(c.2, 'UTC'), toDateTime64(c.1, 3, 'UTC') + INTERVAL {7 + 3 * number} SECOND, c.3"
            f" FROM (SELECT arrayJoin({cuts}) AS c)",
        )


def is_recorded(settings: Settings) -> bool:
    return set(recorded(settings)) == {log_end(settings)}


def is_sealed(settings: Settings) -> bool:
    """Whether each server has sealed two hours and all that are final by the log, with events up to an hour late, and
    published the last cut but one that the log reaches."""
    return all(ask(each, SEALED) == [(1, 1)] for each in settings.clickhouse.shards)


def said(settings: Settings, *command: str, code: int = 0) -> Any:
    done = pintally(settings, *command, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def explained(settings: Settings, event_id: str) -> list[dict[str, Any]]:
    """What is said of each record, without what depends on when a worker flushed."""
    records: list[dict[str, Any]] = said(settings, "explain", event_id)["records"]
    for record in records:
        if (cell := record["cell"]) and cell["stored"]:
            of_counted = [cell["member"], *cell["arms"], *cell["arm_members"]] if record["outcome"] == "counted" else []
            assert len(of_counted) in (0, 5), "two arms, with a member each"
            for shown in (cell, *of_counted):
                stored = shown.pop("stored")
                assert stored["events"] == shown.pop("recounted") > 0
                del shown["below"]
                shown.pop("recounted_trusted", None)
    return records


def test_explain_says_of_each_pin_what_one_server_says(counted: Counted) -> None:
    for number, (timely, broken, late) in enumerate(zip(ON_TIME, BROKEN, LATE, strict=True)):
        for event_id, outcomes in ((timely, ["counted", "duplicate"]), (broken, ["invalid"]), (late, ["late"])):
            found = explained(counted.shards, event_id)
            assert [record["outcome"] for record in found] == outcomes
            assert [bool(record["letter"]) for record in found] == [
                outcome in ("invalid", "late") for outcome in outcomes
            ]
            for record in found:
                assert record["cell"] is None or record["cell"].pop("shard") == number
            alike = explained(counted.one, event_id)
            for record in alike:
                assert record["cell"] is None or record["cell"].pop("shard") is None
            assert found == alike
    words = pintally(counted.shards, "explain", ON_TIME[1]).stdout
    assert f"of pin {PINS[1]} in the minute of" in words
    assert ", shard 1" in words


def test_verify_draws_the_same_slices_of_each_shard_and_writes_metrics_of_all(counted: Counted, tmp_path: Path) -> None:
    file = tmp_path / "pintally.prom"
    sampled = ("verify", "--sample", "0.3", "--seed", "5", "--processes", "1", "--metrics", str(file))
    first, second = said(counted.shards, *sampled)["shards"]
    assert first["sample"] == second["sample"]
    assert 0 < first["sample"]["drawn"] < first["sample"]["slices"]
    assert first["records"] == second["records"] > 0
    assert {one["slices"] for one in first["sources"]} == {one["slices"] for one in second["sources"]}
    [run] = read_runs([file]).each()
    assert (run.scope, run.records, run.differences) == ("sample", first["records"], 0)


def test_an_experiment_is_what_one_server_says_of_it(
    counted: Counted, readers: tuple[FeatureReader, FeatureReader]
) -> None:
    """C33: its arms are on shard 0, with the users of each; so are they in sealed hours and in the last, open ones."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    for hours in (1, 6):
        span = ("--since", f"{end - timedelta(hours=hours):%Y-%m-%dT%H:%M}", "--until", f"{end:%Y-%m-%dT%H:%M}")
        for name in (EXPERIMENT, "feed"):
            found, alike = (said(each, "experiment", name, *span) for each in (counted.shards, counted.one))
            assert found == alike
            start = end - timedelta(hours=hours)
            assert_alike(*(reader.experiment(name, start=start, end=end) for reader in readers))
    assert {arm["arm"] for arm in said(counted.shards, "experiment", EXPERIMENT, *span)["users"]} == {
        "control",
        "treatment",
    }
    first, second = counted.shards.clickhouse.shards
    assert ask(first, "SELECT count() > 0 FROM {database}.experiment_hours") == [(1,)]
    for table in ("experiment_cells", "arm_members", "experiment_hours"):
        assert ask(second, f"SELECT count() FROM {{database}}.{table}") == [(0,)]


def published(address: ClickHouseAddress) -> dict[datetime, datetime]:
    """When the server published each cut."""
    return dict(ask(address, "SELECT cut, min(published_at) FROM {database}.cuts GROUP BY cut"))


def assert_alike(found: pd.DataFrame, expected: pd.DataFrame, *but: str) -> None:
    """To the last bit, in the same order."""
    assert len(found) == len(expected) > 0
    pd.testing.assert_frame_equal(
        found.drop(columns=[*but], errors="ignore"), expected.drop(columns=[*but], errors="ignore"), check_exact=True
    )


def frame(pairs: Sequence[tuple[int, datetime]]) -> pd.DataFrame:
    pins, moments = zip(*pairs, strict=True)
    return pd.DataFrame({"pin_id": np.array(pins, np.uint64), "event_timestamp": pd.to_datetime(moments, utc=True)})


@pytest.fixture
def readers(counted: Counted) -> Iterator[tuple[FeatureReader, FeatureReader]]:
    """Of the shards and of the one server."""
    with FeatureReader(counted.shards.clickhouse.shards) as shards, FeatureReader(counted.one.clickhouse) as one:
        yield shards, one


def test_features_of_pins_on_all_shards_are_those_of_one_server_at_each_cut(
    counted: Counted, readers: tuple[FeatureReader, FeatureReader]
) -> None:
    shards, one = readers
    each, of_one = (
        [published(address) for address in counted.shards.clickhouse.shards],
        published(counted.one.clickhouse),
    )
    cuts = sorted(of_one)
    assert cuts == sorted(each[0]) == sorted(each[1])
    best = one.get_online_features(one.top("24h", k=30)["pin_id"])["pin_id"].tolist()
    pins = [*best, *PINS, 2**64 - 1, best[0]]
    asked = [(pin, cut) for cut in cuts[-1::-5] for pin in pins]
    on = shard_of(np.array([pin for pin, _ in asked], np.uint64), 2).tolist()
    then = frame([(pin, each[number][cut]) for (pin, cut), number in zip(asked, on, strict=True)])
    for known in ("arrived", "event"):
        found = shards.get_historical_features(then, known=known)
        expected = one.get_historical_features(frame([(pin, of_one[cut]) for pin, cut in asked]), known=known)
        assert_alike(found, expected, "event_timestamp")
        assert found["as_of"].nunique() == len(cuts[-1::-5]) > 3
        assert set(on) == {0, 1}
    online = shards.get_online_features(pins)
    assert_alike(online, one.get_online_features(pins), "published_at")
    later = shards.get_historical_features(frame([*zip(pins, online["published_at"], strict=True)]))
    assert_alike(online, later, "published_at", "event_timestamp")
    assert later["saves_24h"].sum() > 0


def test_tops_and_counts_of_all_shards_are_those_of_one_server(
    counted: Counted, readers: tuple[FeatureReader, FeatureReader]
) -> None:
    shards, one = readers
    each, of_one = (
        [published(address) for address in counted.shards.clickhouse.shards],
        published(counted.one.clickhouse),
    )
    cut = max(set(of_one).intersection(*each))
    moment = max(own[cut] for own in each)
    hour = cut.replace(minute=0)
    for window in ("24h", "1h", "10m", (hour - timedelta(hours=3), hour)):
        for by in ("all", "saves", "trusted"):
            found = shards.top(window, by, 20, as_of=moment)
            assert_alike(found, one.top(window, by, 20, as_of=of_one[cut]), "published_at")
            assert set(found["published_at"]) == {pd.Timestamp(moment)}
            assert shard_of(found["pin_id"].to_numpy(), 2).max() == 1
    live = (hour - timedelta(hours=3), hour + timedelta(hours=2))
    assert_alike(*(reader.top(live, k=20, live=True) for reader in readers), "as_of", "published_at")
    start, end, pins = hour - timedelta(hours=26), hour + timedelta(hours=2), found["pin_id"]
    asked: list[tuple[Resolution, Breakdown | None]] = [("1m", None), ("1h", None), ("1d", None), ("1h", "surface")]
    for (resolution, of), some in product(asked, (None, pins)):
        found_by = (reader.counts(some, start=start, end=end, resolution=resolution, by=of) for reader in readers)
        assert_alike(*found_by, "is_final")


def test_one_pin_touches_one_shard_and_another_order_of_servers_is_refused(
    counted: Counted, readers: tuple[FeatureReader, FeatureReader]
) -> None:
    first, second = counted.shards.clickhouse.shards
    closed = second.model_copy(update={"port": 1})
    best = readers[0].top("24h")["pin_id"].to_numpy()
    with FeatureReader([first, closed]) as reader:
        assert reader.get_online_features(best[shard_of(best, 2) == 0])["closeups_24h"].min() > 0
        with pytest.raises(SinkUnavailable):
            reader.get_online_features(PINS)
    with FeatureReader([second, first]) as reader, pytest.raises(Refusal, match="is shard 1 of 2, the settings say"):
        reader.get_online_features([PINS[0]])
    swapped = alone(counted.shards, 1).changed(shards=2, clickhouse_other_shards=f"{first.host}:{first.port}")
    for command in (("features", str(PINS[0])), ("breakdown", str(PINS[0])), ("top",)):
        refused = pintally(swapped, *command)
        assert refused.returncode == 2
        assert "is shard 1 of 2, the settings say shard 0 of 2" in refused.stderr


def test_the_page_and_its_metrics_are_of_all_shards_and_name_the_one_that_is_away(
    two_shards: Engines, counted: Counted, tmp_path: Path
) -> None:
    with serving(counted.one, one_folder(tmp_path)) as alone_server:
        expected = wait_for(lambda: shown(alone_server), 60, "all is looked at")
    with serving(counted.shards, tmp_path) as serve:
        assert wait_for(lambda: shown(serve), 60, "all is looked at") == expected
        assert max(expected.values()) > 0
        two_shards.shards[1].kill()
        try:
            away = serve.wait_condition("clickhouse away")
            assert "shard 1 of 2" in away["detail"]
        finally:
            two_shards.shards[1].start()
            two_shards.shards[1].wait_ready(120)
        wait_for(lambda: "clickhouse" not in serve.state()["away"], 60, "it answers again")


def one_folder(folder: Path) -> Path:
    (folder / "one").mkdir()
    return folder / "one"


def shown(serve: Serve) -> dict[tuple[str, ...], float]:
    """What `/metrics` says of the counts, once the tables were looked at."""
    status, text = serve.get("/metrics")
    if status != 200 or "pintally_clickhouse_rows" not in text or "pintally_records_total" not in text:
        return {}
    names = ("pintally_records_total", "pintally_source_offset", "pintally_source_lag_records", "pintally_dead_letters",
             "pintally_superseded_rows")  # fmt: skip
    return {
        (each.name, *each.labels.values()): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name in names
    }


def test_a_change_of_rules_that_was_killed_between_two_shards_is_completed_and_counts_stay_exact(
    counted: Counted, tmp_path: Path
) -> None:
    changed = counted.shards.changed(max_clock_skew_seconds=310)
    before = counts_of(counted.shards)
    with pytest.raises(Killed):
        apply_until_shard_1_gets_start_rows(changed)
    assert epochs(changed) == [1, 0]
    done = pintally(changed, "rules", "apply", "--yes")
    assert (done.returncode, done.stdout) == (0, "all sources already have these rules\n"), done.stderr
    assert epochs(changed) == [1, 1]
    starts = "SELECT source, epoch, start, start_stream_time, rules FROM {database}.ingest_starts ORDER BY ALL"
    first, second = (ask(each, starts) for each in changed.clickhouse.shards)
    assert first == second
    done = pintally(counted.shards, "rules", "apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert epochs(changed) == [2, 2]
    with workers(counted.shards, tmp_path) as start:
        start()
        wait_for(lambda: is_recorded(counted.shards), 120, "what was deleted is counted again", ASKED_S)
    assert counts_of(counted.shards) == before
    verify(counted.shards)


class Killed(Exception):
    """As a process ends."""


def apply_until_shard_1_gets_start_rows(settings: Settings) -> None:
    """As `pintally rules apply` does."""

    def killed(rows: Sequence[StartRow]) -> None:
        raise Killed(rows)

    sink = maintained_sink_of(settings.clickhouse, 60)
    with sink.session() as session:
        assert isinstance(session, MaintainedShardsSession)
        found = read_cluster_state(settings.kafka, settings.topics, sink, session)
        rules = settings.rules.in_topic
        change = plan_rules(rules, found.ledgers, found.offsets, found.committed, session.slice_sums)
        assert len(change.starts) == len(found.offsets)
        session._each[1].write_starts = killed  # type: ignore[method-assign]  # of this session
        apply_change(session, change)


def epochs(settings: Settings) -> list[int]:
    """The highest epoch that each shard has start rows of."""
    return [ask(each, "SELECT max(epoch) FROM {database}.ingest_starts")[0][0] for each in settings.clickhouse.shards]


def test_dead_letters_are_listed_and_replayed_over_shards(counted: Counted, tmp_path: Path) -> None:
    """The last test: the log gets more records."""
    kinds, alike = (said(each, "dlq", "list") for each in (counted.shards, counted.one))
    assert kinds == alike
    assert sum(kind["records"] for kind in kinds) > len(LATE) + len(BROKEN)
    before = counts_of(counted.shards)
    done = said(counted.shards, "dlq", "replay", "--outcome", "late", "--yes")
    assert done["sent"] >= len(LATE)
    with workers(counted.shards, tmp_path) as start:
        start()
        wait_for(lambda: is_recorded(counted.shards), 120, "the replays are counted", ASKED_S)
    after = counts_of(counted.shards)
    assert {pin: after[pin] - before[pin] for pin in PINS} == dict.fromkeys(PINS, 1)
    assert sum(after.values()) - sum(before.values()) == done["sent"]
    assert said(counted.shards, "dlq", "replay", "--outcome", "late", "--yes")["already_replayed"] == done["sent"]
    verify(counted.shards)


def counts_of(settings: Settings) -> dict[int, int]:
    """All events of each pin."""
    asked = "SELECT pin_id, sum(saves + clicks + closeups) FROM {database}.pin_engagement_1m GROUP BY pin_id"
    return {pin: events for address in settings.clickhouse.shards for pin, events in ask(address, asked)}
