"""A worker from its first record to its last count, stage by stage: the second half of `bench.profile`.

Run as a script it is that worker: `pintally worker` with a stopwatch around each stage, whose seconds it leaves in a
file.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.shapes import Shape

LOOK_SECONDS = 0.05
GIVE_UP_SECONDS = 900


@dataclass(frozen=True)
class Tree:
    """Whose code runs, and with which variables."""

    path: Path
    variables: dict[str, str]

    @classmethod
    def of(cls, text: str) -> "Tree":
        """PATH[,NAME=VALUE...]"""
        path, *variables = text.split(",")
        return cls(Path(path).resolve(), dict(each.split("=", 1) for each in variables))


PER_CPU_SECOND = "events per CPU-s"
THE_REST = "receive, event loop, Faust"
SAID = "PROFILE_SAID"  # variable: the file


def measure_workers(trees: Sequence["Tree"], events: int, runs: int, shape: "Shape") -> list[list[dict[str, Any]]]:
    """Each tree's worker catches up with the same log of one shape, in turns.

    Of each run: `micros` (stage -> us of CPU an event), and figures of the whole.
    """
    from bench.engines import open_engines, say
    from bench.log import anchored, drop_topics, fill
    from bench.work import Flaws, flawed
    from pintally.streams.kafka.topics import create_topics
    from pintally.streams.settings import Settings

    found: list[list[dict[str, Any]]] = [[] for _ in trees]
    with open_engines() as engines, tempfile.TemporaryDirectory() as folder:
        mark = f"profile{uuid.uuid4().hex[:8]}"
        settings: Settings = engines.settings.changed(
            topic_prefix=f"{mark}.", topic_timestamps="CreateTime", allowed_lateness_seconds=12 * 3600
        )
        create_topics(*settings.sources)
        try:
            say(f"filling {events:,} records of shape {shape.name} ...")
            work = anchored(events, shape)
            topics = settings.topics.names
            asyncio.run(fill(settings, work, flawed(work, Flaws()), lambda action: topics[action]))
            for run in range(runs):
                order = range(len(trees)) if run % 2 else reversed(range(len(trees)))
                for index in order:
                    found[index].append(_measure(settings, trees[index], Path(folder)))
                    say(f"run {run + 1}, tree {index + 1}: {found[index][-1][PER_CPU_SECOND]:,.0f} {PER_CPU_SECOND}")
        finally:
            drop_topics(settings, mark)
    return found


def _measure(base: Any, tree: "Tree", folder: Path) -> dict[str, Any]:
    from bench.measured import cpu_seconds, peak_bytes
    from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of

    name = f"profile_{uuid.uuid4().hex[:8]}"
    settings = base.changed(clickhouse_database=name, kafka_group_id=name)
    result = folder / f"{name}.json"
    env = settings.environment() | {"PYTHONPATH": str(tree.path), SAID: str(result)} | tree.variables
    subprocess.run([sys.executable, "-m", "pintally.cli", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    end = sum(
        each.log_end
        for each in read_offsets(settings.kafka, sources_of(describe_topics(settings.kafka, settings.topics))).values()
    )
    log = folder / f"{name}.log"
    with log.open("w") as output, _client(settings) as client:
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__))], env=env, cwd=tree.path, stdout=output, stderr=output
        )
        try:
            _wait(worker, log, lambda: _ask(client, "SELECT count() FROM ingest_starts"))
            before, began = cpu_seconds([worker.pid]), time.monotonic()
            position = "SELECT sum(p) FROM (SELECT max(position) AS p FROM ingest_ledger GROUP BY source)"
            _wait(worker, log, lambda: _ask(client, position) >= end)
            used, seconds, peak = cpu_seconds([worker.pid]) - before, time.monotonic() - began, peak_bytes([worker.pid])
            rows = _ask(client, "SELECT count() FROM pin_minutes")
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
            client.execute(f"DROP DATABASE {name}")
    stages: dict[str, Any] = json.loads(result.read_text())
    micros = {stage: each / end * 1e6 for stage, each in stages["seconds"].items()}
    micros = {THE_REST: used / end * 1e6 - sum(micros.values()), **micros}
    return {
        "events": end,
        PER_CPU_SECOND: end / used,
        "seconds": seconds,
        "peak MiB": peak / 2**20,
        "rows an event": rows / end,
        "chunks": stages["chunks"],
        "page faults an event": stages["faults"] / end,
        "micros": micros,
        "load": os.getloadavg()[0],
    }


def _client(settings: Any) -> Any:
    from clickhouse_driver import Client

    return Client(
        settings.clickhouse.host,
        port=settings.clickhouse.port,
        user=settings.clickhouse.user,
        password=settings.clickhouse.password.get_secret_value(),
        database=settings.clickhouse.database,
    )


def _ask(client: Any, query: str) -> int:
    rows = client.execute(query)
    return int(rows[0][0]) if rows else 0


def _wait(worker: "subprocess.Popen[bytes]", log: Path, done: Any) -> None:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not done():
        if worker.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"the worker did not get there; the end of its log:\n{log.read_text()[-3000:]}")
        time.sleep(LOOK_SECONDS)


def main() -> None:
    """Be the worker."""
    import resource

    from bench.stages import Stopwatch
    from pintally.streams.settings import load_settings
    from pintally.streams.worker.run import count

    watch = Stopwatch()
    watch.wrap()
    leave = os._exit

    def leave_with_a_word(code: int) -> None:
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        said = {"seconds": dict(watch.seconds), "chunks": watch.calls["fold: the rest"], "faults": faults}
        Path(os.environ[SAID]).write_text(json.dumps(said))
        leave(code)

    os._exit = leave_with_a_word  # type: ignore[assignment] # by which a worker that is told to stop ends
    count(load_settings(), "WARNING")


if __name__ == "__main__":
    sys.path[0] = os.environ["PYTHONPATH"]
    sys.path.append(str(Path(__file__).resolve().parent.parent))  # for `bench`, where the tree has none of this
    main()
