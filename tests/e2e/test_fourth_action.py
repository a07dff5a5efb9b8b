"""A fourth action, `share`, is one row and one example, and one row of the audit's: all else follows.

The package is copied with these, and processes run there: on tables that three actions made, in sealing; in a drill in
`test_drill.py`.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.scripts import REPEATABLE
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.online import feature_types, read_features
from pintally.streams.settings import Settings, load_settings
from tests.e2e import running
from tests.e2e.running import pintally, verify, wait_caught_up, wait_for, workers
from tests.sinks.sealing import HOUR, TODAY, YESTERDAY, disagreements, read, some_cells, write
from tests.support.cells import cells
from tests.support.engines import TestEngines, drop_database
from tests.support.forkserver import PATHS, ForkServer, fork_server

SHARE = 4
COUNTS = ("saves", "clicks", "closeups", "shares")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those that are commands are forked. After `four_actions`: the server takes modules from where they do."""
    with closing(ForkServer()) as server:
        monkeypatch.setattr(running, "fork_server", lambda: server)
        yield


def python(settings: Settings, code: str) -> str:
    """Run code in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(settings: Settings, *command: str) -> Any:
    """What a command prints as JSON."""
    done = pintally(settings, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def of_the_emulator(truth: Path) -> Counter[tuple[str, int, int]]:
    """What must be counted, by action, minute and pin."""
    found: Counter[tuple[str, int, int]] = Counter()
    for line in map(json.loads, truth.read_text().splitlines()):
        if "pin_id" in line:
            found[line["action"], line["minute"], int(line["pin_id"])] += line["count"]
    return found


@pytest.mark.usefixtures("four_actions", "forked")
@pytest.mark.timeout(600)
def test_it_is_emulated_counted_verified_and_shown_beside_what_was_counted_before(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [tmp_path / "before.jsonl", tmp_path / "after.jsonl"]
    stack = stack.changed(session_timeout_seconds=60.0)  # Kafka takes the second worker for the first one come again
    with monkeypatch.context() as three:
        for name in PATHS:
            three.delenv(name)
        three.setattr(running, "fork_server", fork_server)
        with workers(stack, tmp_path) as start:
            start()
            assert pintally(stack, "emulate", "--events", "2000", "--truth", str(sent[0])).returncode == 0
            wait_caught_up(stack)

    assert told(stack, "migrate", "--json")["applied"] == [each for each in REPEATABLE if each != "arm_users.sql"]
    with workers(stack, tmp_path) as start:
        start()
        assert pintally(stack, "emulate", "--events", "2000", "--seed", "2", "--truth", str(sent[1])).returncode == 0
        wait_for(lambda: told(stack, "status", "--json")["lag"] == 0, 120, "all is counted")
    assert verify(stack)["exact"]

    labels = {action.value: action.label for action in Action} | {SHARE: "share"}
    rows = read(
        stack.clickhouse,
        "SELECT action, toUnixTimestamp(minute), pin_id, sum(events) FROM pin_minutes FINAL GROUP BY ALL",
    )
    counted = Counter({(labels[action], minute, pin): events for action, minute, pin, events in rows if events})
    assert counted == of_the_emulator(sent[0]) + of_the_emulator(sent[1])
    shares = sum(events for (label, _, _), events in counted.items() if label == "share")
    assert shares > 20
    for view in ("pin_engagement_1m", "pin_engagement_1h", "pin_engagement_1d"):
        assert read(stack.clickhouse, f"SELECT sum(shares) FROM {view}") == [(shares,)]
    (most, *_) = told(stack, "top", "--by", "shares", "-r", "1d", "--json")["pins"]
    assert list(most) == ["pin_id", *COUNTS, *(f"trusted_{name}" for name in COUNTS), "is_final"]
    assert most["shares"] > 0
    assert told(stack, "schema", "share")["properties"]["action"]["const"] == "share"


def seal_shares() -> None:
    """Runs where there are four actions: shares in sealed hours and days, corrected, and taken away by other hands."""
    address = load_settings().clickhouse
    assert [action.value for action in Action] == [1, 2, 3, SHARE]
    migrate(address)
    write(address, some_cells())
    late = [(1, 1, YESTERDAY, SHARE, YESTERDAY + hour * HOUR, 7, 5, 10) for hour in (3, 22)]
    write(address, cells((1, 0, YESTERDAY, SHARE, YESTERDAY + 3 * HOUR, 7, 2, 10)))
    assert seal(address, TODAY).days == (YESTERDAY,)
    sums = [
        f"SELECT sum(shares) FROM {name}" for name in ("pin_engagement_1d", "pin_engagement_1h", "pin_days", "sealed")
    ]
    assert [read(address, sql) for sql in sums] == [[(2,)], [(2,)], [(2,)], [(4,)]]
    write(address, cells(*late))
    assert read(address, sums[0]) == [(12,)], "hours that are written to are opened"
    assert len(seal(address, TODAY).corrected) == 2
    assert read(address, "SELECT sum(shares), min(is_final) FROM pin_engagement_1d WHERE shares > 0") == [(12, True)]
    assert (disagreements(address), read(address, sums[1])) == ([], [(12,)])
    with Connection(address, 30) as connection:  # of a pin without a row
        cut = Cut(TODAY, TODAY, datetime.now(UTC))
        features = read_features(connection, cut, np.array([99], np.uint64), feature_types())
    assert features["shares_30d"].tolist() == [0]


@pytest.mark.usefixtures("four_actions")
@pytest.mark.timeout(300)
def test_it_is_sealed(settings: Settings, engines: TestEngines) -> None:
    try:
        python(settings, "from tests.e2e.test_fourth_action import seal_shares; seal_shares()")
    finally:
        drop_database(engines.addresses, settings.clickhouse.database)


@pytest.mark.usefixtures("four_actions")
def test_its_example_is_valid_on_its_topic_alone(settings: Settings) -> None:
    code = (
        "from pintally.schemas.actions import Action, kind_of\n"
        "from pintally.schemas.example_files import read_examples\n"
        "from pintally.schemas.decoding.decoder import decode\n"
        "from pintally.schemas.decoding.values import Values\n"
        "(share,) = [each for each in read_examples() if each.name == 'share']\n"
        "values = Values.of([share.value])\n"
        "print([action.label for action in Action if decode(values, action).valid.all()], share.action.label)"
    )
    assert python(settings, code) == "['share'] share\n"
