"""What sealing for features costs, and how soon readers get tops and features, from 90 million cells.

    python -m bench.features                  # about half an hour, 10 GB of disk
    python -m bench.features --quick          # 300,000 cells, less than a minute
    python -m bench.features --data FOLDER    # the engines' data stays there; the next call asks only
    python -m bench.features --data FOLDER --only "one pin" --against ../other

bench/features_world.py says what is filled. Sealing is the product's own, cut by cut (bench/features_sealing.py). Each
question (bench/features_tops.py, bench/features_pins.py) is asked as a reader asks it, through the product's own reads
and views; its answer is compared with the sum of all cells before it is timed. ClickHouse has whatever cores the
machine has left, and the data has just been written, so most of it is in the page cache: compare CPU, and look at the
load beside times.

With --against, the views of this tree and of another one take turns, question by question; nothing is kept then.
"""

import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.asking import Question, Reader, keep, keep_machine, timed
from bench.clickhouse import Clickhouse
from bench.engines import open_engines, say
from bench.features_export import Export
from bench.features_made import Made, make
from bench.features_pairs import pairs
from bench.features_pins import features as of_pins
from bench.features_tops import tops
from bench.features_turns import Pair
from bench.features_world import HOUR, World, at
from bench.figures import RESULTS, Kept, kept
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.settings import Settings

CELLS, PINS = 90_000_000, 10_000_000
QUICK = {"cells": 300_000, "pins": 100_000, "busy_from": 20 * HOUR}
RUNS, QUICK_RUNS = 200, 10
PAIRS = 1_000_000
TIMEOUT_SECONDS = 900


def features(
    cells: Annotated[int, typer.Option(min=1, help="Cells at least.")] = CELLS,
    quick: Annotated[bool, typer.Option("--quick", help="300,000 cells, fewer runs.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder that keeps the engines' data, and the world in it.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Questions with these words; may be repeated.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another tree: its views and ours take turns.")] = None,
    into: Annotated[Path, typer.Option(help="Folder for features.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Fill, seal, ask, print."""
    pair = Pair.with_tree(against) if against else None
    world = at(int(time.time()), **(QUICK if quick else {"cells": cells, "pins": PINS}))
    runs = QUICK_RUNS if quick else RUNS
    with open_engines(data) as engines, ExitStack() as ends:
        if only or pair:  # some figures are not all of them
            into = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        made = Made.read(data) if data else None
        settings = engines.settings.changed(clickhouse_database=made.database if made else f"bench_{uuid.uuid4().hex}")
        migrate(settings.clickhouse)
        if not data:
            ends.callback(drop, settings)
        connection = ends.enter_context(Connection(settings.clickhouse, TIMEOUT_SECONDS))
        reader = Reader(connection, engines.clickhouse_pid)
        found = ends.enter_context(kept("features", settings, into, as_json, {"runs": runs}))
        if made:
            made.add_to(found)
        else:
            made = make(reader, settings, world, found, data)
        found.parameters |= {"cells": made.world.cells, "pins": made.world.pins}
        asked = [each for each in questions(reader, settings, made.world, runs) if is_one_of(each.name, only)]
        keep_machine(found, reader, QUICK_RUNS)
        ask_all(reader, asked, found, pair)


def is_one_of(name: str, only: list[str] | None) -> bool:
    """Whether a question is asked."""
    return not only or any(words in name for words in only)


def questions(reader: Reader, settings: Settings, world: World, runs: int) -> list[Question]:
    """All of them; the large ones are asked a few times only."""
    few = max(1, runs // 50)
    export = Export(reader, Clickhouse(settings, settings.clickhouse.database), world).question(few)
    of_pairs = pairs(reader, world, min(PAIRS, world.cells // 30), few)
    return [*tops(reader, world, runs), *of_pins(reader, world, runs), of_pairs, export]


def ask_all(reader: Reader, asked: list[Question], found: Kept, pair: Pair | None) -> None:
    """Check each answer, then take its time."""
    for question in asked:
        say(f"{question.name}: {question.check():,} answers compared")
        if pair:
            pair.take_turns(reader, found, question.name, question.runs)
        else:
            times = timed(reader, question.runs, question.warm_up)
            pins = question.pins() if question.pins else None
            keep(found, question.name, times, question.limits, reader.pid is not None, pins)


def drop(settings: Settings) -> None:
    """The database, on a connection of its own: another one may be over."""
    with Connection(settings.clickhouse, TIMEOUT_SECONDS) as connection:
        connection.execute(f"DROP DATABASE {settings.clickhouse.database} SYNC")


if __name__ == "__main__":
    typer.run(features)
