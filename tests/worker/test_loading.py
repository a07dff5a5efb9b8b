"""What a worker loads as it starts: an upgrade stops counting for as long as that takes."""

import subprocess
import sys

LOADED = """
import gc, sys
from pintally.streams.worker import run

def loaded(*_):
    from pintally.streams.worker import app, runner, serving
    from clickhouse_driver.columns import datecolumn
    collections = sum(each["collections"] for each in gc.get_stats())
    print("pandas" in sys.modules, len(datecolumn._date_lut), collections, gc.get_freeze_count())

run.count = loaded
from pintally.cli.worker import worker
worker()
"""


def test_a_worker_loads_no_pandas_and_no_calendar_and_its_garbage_collector_hardly_runs_meanwhile() -> None:
    """They took a third of the CPU of a start: 500 collections walked what was loaded so far, over and over."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    pandas, days, collections, frozen = done.stdout.split()
    assert (pandas, days) == ("False", "0")
    assert int(collections) < 300
    assert int(frozen) > 10_000
