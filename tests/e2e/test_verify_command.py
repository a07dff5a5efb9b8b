"""`pintally verify` as a timer runs it: in several processes, of a sample, with its result as a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, pintally, wait_caught_up, workers

EVENTS = 20_000


def verify(settings: Settings, *options: str, code: int = 0) -> Any:
    """What it says as JSON."""
    done = pintally(settings, "verify", "--json", *options)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def metrics(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    return {f"{each.name}/{each.labels['scope']}": each.value for family in families for each in family.samples}


@pytest.fixture
def counted(stack: Settings, tmp_path: Path) -> Settings:
    """Several sources with several slices each, all counted."""
    settings = stack.changed(slice_records=500)
    with workers(settings, tmp_path) as start:
        start()
        with Traffic(settings, "--events", str(EVENTS), "--duplicates", "0.02", "--broken", "0.01") as traffic:
            traffic.finish()
        wait_caught_up(settings)
    return settings


def test_whole_and_sampled_runs_agree_and_leave_their_results(counted: Settings, tmp_path: Path) -> None:
    file = tmp_path / "pintally.prom"
    alone = verify(counted, "--processes", "1", "--metrics", str(file))
    assert "sample" not in alone
    assert metrics(file)["pintally_verified_records/whole"] == alone["records"] >= EVENTS
    shared = verify(counted, "--processes", "3")
    assert shared["sources"] == alone["sources"]
    for hours in ("1e9", "inf"):  # from before 1970 on is from the beginning on
        assert verify(counted, "--since-hours", hours)["sources"] == alone["sources"]

    sampled = verify(counted, "--processes", "3", "--sample", "0.3", "--seed", "5", "--metrics", str(file))
    again = verify(counted, "--sample", "0.3", "--seed", "5")
    drawn = sampled["sample"]
    assert again["sample"] == drawn
    assert (drawn["seed"], drawn["slices"]) == (5, sum(source["slices"] for source in alone["sources"]))
    assert drawn["drawn"] == sum(source["slices"] for source in sampled["sources"]) < drawn["slices"]
    assert metrics(file) == {
        "pintally_verified_timestamp_seconds/sample": metrics(file)["pintally_verified_timestamp_seconds/sample"],
        "pintally_verified_records/sample": sampled["records"],
        "pintally_verified_share/sample": drawn["drawn"] / drawn["slices"],
        "pintally_differences/sample": 0,
    }
    said = pintally(counted, "verify", "--sample", "0.3", "--seed", "5")
    assert (
        f"sample: {drawn['drawn']} of {drawn['slices']} slices were recounted; --seed 5 draws them again" in said.stdout
    )
    assert f"fewer than {drawn['fewer_wrong_than']} of the {drawn['slices']} slices are wrong" in said.stdout
    assert "no difference in the sample: " in said.stdout

    with Connection(counted.clickhouse, 30) as connection:
        connection.execute("ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE 1 SETTINGS mutations_sync = 2")
    wrong = verify(counted, "--sample", "0.3", "--seed", "5", "--metrics", str(file), code=1)
    assert metrics(file)["pintally_differences/sample"] == sum(wrong["findings"].values()) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--metrics", "/nowhere/pintally.prom"), "cannot be written"),
        (("--seed", "5"), "--seed needs --sample"),
        (("--sample", "1.5"), "--sample"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(settings: Settings, options: tuple[str, ...], words: str) -> None:
    done = pintally(settings, "verify", *options)
    assert done.returncode == 2
    assert words in done.stderr
