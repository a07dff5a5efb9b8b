"""Every PromQL of the dashboard of counting, asked of a real Prometheus that scrapes two workers and `pintally serve`
while events are produced: none is refused, none is empty.
"""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pintally.streams.http.targets import SERVE_JOB, WORKER_JOB
from pintally.streams.settings import Settings
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.e2e.running import ASKED_S, Traffic, progress, wait_for, workers
from tests.serve.serving import serving
from tests.support.dashboards import Asked, promql, queries
from tests.support.engines import TestEngines, topics_and_tables
from tests.support.prometheus import Prometheus, running_prometheus

EARLIER = 20_000  # records of the last three hours
RATE = "5s"
SHOWN_S = 10.0  # of the past
VERIFIED = {"verified_timestamp_seconds": time.time(), "verified_records": 1, "verified_share": 1, "differences": 0}


@pytest.fixture
def past(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """Topics whose producers stamp the records, so that hours are sealed and cuts published in seconds."""
    changed = settings.changed(topic_timestamps="CreateTime", seal_seconds=0.5)
    with topics_and_tables(changed, engines.addresses):
        yield changed


@pytest.fixture
def scraped(past: Settings, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus, with something to scrape of everything."""
    said = (f'pintally_{name}{{scope="whole"}} {value}\n' for name, value in VERIFIED.items())
    (tmp_path / "verified.prom").write_text("".join(said))
    ports = {"one": free_port(), "two": free_port()}
    with ExitStack() as ends:
        for name, port in ports.items():
            (tmp_path / name).mkdir()
            ends.enter_context(workers(past.changed(metrics_port=port), tmp_path / name))(name)
        with Traffic(past, "--events", str(EARLIER), "--span", "180") as earlier:
            earlier.finish()
        ends.enter_context(Traffic(past, "--rate", "500", "--duplicates", "0.02", "--late", "0.01", "--broken", "0.01"))
        wait_for(lambda: progress(past)[0] > EARLIER, 60, "counting has come to what is produced now", ASKED_S)
        serve = ends.enter_context(serving(past, tmp_path, serve_verified=str(tmp_path / "verified.prom")))
        targets = {
            WORKER_JOB: [f"{LOOPBACK}:{port}" for port in ports.values()],
            SERVE_JOB: [serve.url.removeprefix("http://")],
        }
        yield ends.enter_context(running_prometheus(tmp_path, targets))


def shows(prometheus: Prometheus, asked: Asked) -> bool:
    """Whether a panel would show a number for this query now."""
    query = promql(asked.query, rate=RATE)
    if asked.instant:
        found = [[series["value"]] for series in prometheus.query(query)]
    else:
        now = time.time()
        found = [series["values"] for series in prometheus.query_range(query, now - SHOWN_S, now, 1)]
    return any(not math.isnan(float(value)) for values in found for _, value in values)


@pytest.mark.timeout(600)
def test_every_panel_has_something_to_show(scraped: Prometheus) -> None:
    empty = list(queries("counting"))

    def all_show() -> bool:
        empty[:] = [asked for asked in empty if not shows(scraped, asked)]
        return not empty

    try:
        wait_for(all_show, 60, "something in every panel")
    except TimeoutError as error:
        error.add_note("\n".join(map(str, empty)))
        raise
