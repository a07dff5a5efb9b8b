"""A day on call: `python -m tests.operate.day` plays all faults on engines of its own, and says which alerts fired.

`--factor N` divides the times of the rules (20 if left out); `--only WORDS` plays the faults whose names have them, and
may be repeated.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pintally.streams.settings import Settings
from tests.operate.stages import STAGES, play, restart_kafka
from tests.operate.world import World, open_world
from tests.support.engines import open_engines, topics_and_tables

FACTOR = 20.0
LONGEST_S = 20 * 60.0  # of the day, until an alert fires; the others fire sooner
KAFKA = "Kafka is restarted"
OWN = {"topic_prefix": "day.", "kafka_group_id": "day", "clickhouse_database": "day", "partitions": 2}
QUICK = {"session_timeout_seconds": 3, "flush_interval_seconds": 0.5}


def play_all(world: World, only: Sequence[str]) -> int:
    """Play the faults whose names have some of these words. Returns how many were played."""
    played = 0
    for stage in STAGES:
        if any(words in stage.name for words in only):
            took = play(world, stage, LONGEST_S / world.factor)
            say(stage.name, took, ", ".join(sorted(stage.alerts)) or "none")
            played += 1
    if any(words in KAFKA for words in only):
        say(KAFKA, restart_kafka(world), "as the time that it took says")
        played += 1
    return played


def say(name: str, seconds: float, alerts: str) -> None:
    """A line for a fault."""
    print(f"{name:<40} {seconds:6.0f} s  {alerts}", flush=True)


def main() -> int:
    """Returns 0 if every alert fired that had to, and no other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=float, default=FACTOR)
    parser.add_argument("--only", action="append", metavar="WORDS")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_engines("local", Path(folder, "engines")) as engines:
        settings = Settings.of(None, **engines.addresses.settings(), **OWN, **QUICK)
        logs = Path(folder, "logs")
        logs.mkdir()
        with (
            topics_and_tables(settings, engines.addresses),
            open_world(settings, engines, logs, chosen.factor) as world,
        ):
            played = play_all(world, chosen.only or [""])
    print(f"{played} faults: exactly the alerts of docs/runbook.md fired, and all are silent")
    return 0 if played else 2


if __name__ == "__main__":
    sys.exit(main())
