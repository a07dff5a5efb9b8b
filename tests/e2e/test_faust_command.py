"""Faust's own command runs the same worker: it counts exactly, stops cleanly, and refuses in words."""

import re
import subprocess
import sys
from pathlib import Path

from pintally.streams.settings import Settings
from tests.e2e.running import BUSY, Traffic, verify, wait_caught_up, wait_for, workers

LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+Z [A-Z]+ ")  # of our log, and nothing of Faust's
FAUST = (
    str(Path(sys.executable).parent / "faust"),
    "-A",
    "pintally.streams.worker.app",
    "worker",
    "--without-web",
    "-l",
    "info",
)


def test_a_worker_started_by_faust_counts_exactly_and_stops_with_everything_recorded(
    stack: Settings, tmp_path: Path
) -> None:
    with workers(stack, tmp_path) as start:
        worker = start(None, FAUST)
        with Traffic(
            stack, "--events", "20000", "--duplicates", "0.02", "--late", "0.01", "--broken", "0.01"
        ) as traffic:
            sent = traffic.finish()
        wait_caught_up(stack)
        assert worker.stop() == 0
        assert not worker.said("Traceback")
        assert worker.said("it counts ")
        assert [line for line in worker.log.read_text().splitlines() if not LINE.match(line)] == []
    found = verify(stack)
    assert sum(source["counted"] for source in found["sources"]) == sent["counted"] > 0


def test_a_worker_of_each_command_share_a_group_and_either_may_be_killed(stack: Settings, tmp_path: Path) -> None:
    with (
        workers(stack, tmp_path) as start,
        Traffic(stack, "--rate", "3000", "--seed", "21") as traffic,
    ):
        by_faust = start(None, FAUST)
        by_faust.wait_ready()
        start("two").wait_ready()
        by_faust.kill()
        traffic.stop()
        wait_caught_up(stack)
    verify(stack)


def faust(settings: Settings, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Faust's command, to its end."""
    return subprocess.run(
        FAUST,
        env=settings.environment() | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60 * BUSY,
        check=False,
    )


def test_what_stands_in_the_way_is_said_by_faust_too(settings: Settings) -> None:
    for done, words in (
        (faust(settings), "pintally migrate"),
        (faust(settings, PINTALLY_PARTITIONS="none"), "setting PINTALLY_PARTITIONS='none'"),
    ):
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_clickhouse_that_is_not_there_is_said_once_and_then_now_and_then_by_both_commands(
    stack: Settings, tmp_path: Path
) -> None:
    nobody = stack.changed(clickhouse_port=1)
    with workers(nobody, tmp_path) as start:
        started = [start("one"), start(None, FAUST)]
        for worker in started:
            wait_for(lambda: len(waits(worker.log)) >= 2, 60, "two words that ClickHouse is away")  # noqa: B023
            worker.kill()  # the third is due 20 s later
    for worker in started:
        log = worker.log.read_text()
        assert "Traceback" not in log
        assert "Connection refused" not in "".join(set(log.splitlines()) - set(waits(worker.log)))
        assert len(waits(worker.log)) <= 3, "a word a try"


def waits(log: Path) -> list[str]:
    """The lines that say what a worker waits for."""
    return [
        line
        for line in log.read_text().splitlines()
        if re.search(r"ClickHouse is away.*: ClickHouse at \S+ does not answer", line)
    ]
