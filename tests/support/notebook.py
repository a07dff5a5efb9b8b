"""`make notebook`: runs the notebooks of docs/examples on emulated traffic, and writes each as HTML beside it."""

import tempfile
import time
from pathlib import Path

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.settings import Settings
from tests.support.emulated import HOUR, World, fill
from tests.support.examples import EXAMPLES, run
from tests.support.own_clickhouse import clickhouse_with

TRAINING, EXPERIMENT = (EXAMPLES / "notebook" / name for name in ("training.py", "experiment.py"))
EFFECT = 0.4  # of the emulated experiment


def execute(notebook: Path, made: Path, settings: Settings) -> None:
    """Run a notebook, and write it with its outputs to an .ipynb file. Raises AssertionError with its error."""
    options = ("--to", "ipynb", "--execute", "--output", made)
    run("-m", "jupytext", *options, notebook, settings=settings, folder=made.parent)


def main() -> None:
    """Run both on twelve hours of traffic in a ClickHouse of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        clickhouse_with(Path(folder) / "clickhouse", {}, "notebook") as address,
    ):
        migrate(address)
        fill(address, World(end=int(time.time()) // HOUR * HOUR, hours=12, effect=EFFECT))
        settings = Settings.of(
            None,
            clickhouse_host=address.host,
            clickhouse_port=address.port,
            clickhouse_http_port=address.http_port,
            clickhouse_database=address.database,
        )
        for notebook in (TRAINING, EXPERIMENT):
            made = Path(folder) / f"{notebook.stem}.ipynb"
            execute(notebook, made, settings)
            html = notebook.with_suffix(".html")
            run("-m", "nbconvert", "--to", "html", "--output", html, made, settings=settings, folder=Path(folder))
            print(html)


if __name__ == "__main__":
    main()
