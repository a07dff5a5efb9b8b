"""Writes docs/performance.md from bench/results: every number in it was measured, none is typed in.

    python -m bench.performance

What has no results yet is named with the command that makes them. A test compares the page with the results.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import aggregates_page, billion, features_page
from bench.figures import Kept
from bench.figures import markdown as figures
from bench.outcome import Results
from bench.report import contestants, crashes, failures, surroundings, table, targets
from bench.spread import spread
from bench.targets import OURS, median_rate

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"
KEEP_PROFILE = "python -m bench.profile --worker --json > bench/results/profile.json"
WHOLE = "whole worker"  # in the title of the part that measures it
SUMS = ("all of these", "page faults")  # no stages
BUDGET_US = 1.0  # an event, at 1,000,000 events a CPU-second

HEAD = """# Performance

This page shows what an event costs one worker, from the slowest shape of traffic to the fastest, and compares it with
other systems on the same records. The worker validates, drops duplicates, and writes dead letters and the ledger.
`make performance` writes this page from `bench/results/`; `make bench` measures again, and `make profile` measures the
cost of each stage. [bench/README.md](../bench/README.md) says how each figure is measured.

Figures are events a CPU-second: user + system time of the worker's process, from the first record to the last count in
ClickHouse. Compare these figures, not events a second: Kafka and ClickHouse run on the same cores.
"""

STEADY = """Near the head of the log chunks are small. Each poll and each flush has a fixed cost, so the cost of an
event falls as the rate grows."""

NEXT = """Decision records [10](decisions/0010-what-the-hot-path-does-and-does-not.md) and
[11](decisions/0011-loops-compiled-by-numba.md) describe what was tried, what was not worth it, and why. Possible next
steps:

- **The path to the loops**: receiving, event loops, threads and Faust, once for each poll and chunk, are the most
  expensive stage.
- **A hash table of cells**: counted records are sorted by pin and minute; an open-addressing table in a compiled loop
  would count them without sorting.
- **More cores**: run a second worker; sources share nothing.
- **Smaller records**: shorter JSON is cheaper in nearly every stage; producers decide that."""

GROWTH = """- **With events**: a chunk needs a few passes over columns, so the cost of an event does not depend on the
  number of earlier events. At a higher rate, more events share a poll and a flush.
- **With pins**: more distinct pins mean fewer events in a cell, so ClickHouse inserts,
  keeps and merges more rows for each event. A popular pin costs nothing extra: its events of a flush become one row.
- **With partitions**: sources share nothing. Each source costs a slice in memory (cells, ids of two blocks) and a
  ledger row in each flush, whatever its traffic. All of them together are fetched at most 64 MiB ahead of the counting.
- **With workers**: Kafka spreads partitions over workers, and ClickHouse receives their inserts in parallel."""

ROWS = """Surfaces and platforms make more rows where the events of a pin and minute, of one flush, have several of
them. With little traffic most cells have one event, and so one row. The more events a cell has, the more labels are
among them, so the share of rows on top grows with the rate. How labels are spread bounds it: a pin and minute has one
row at most for each pair of labels that its events name. Here half of the events have the first of nine surfaces, a
quarter the second, and so on, and platforms likewise. Without a breakdown (`PINTALLY_BREAKDOWN=false`) there are no
such rows."""

EXPERIMENTS = """`experiment_results` of one experiment and a week. Cells are of a slice each; a sealed hour has a row
for each arm and bucket of users, however many slices its cells were of. So the cost of an answer grows with arms and
hours. What other experiments count does not matter, because rows are sorted by experiment."""

USERS = """Readers ask for numbers that were made when hours and days were sealed, so an answer costs little however
many users there were. A day of users of arms is sealed with the days before it: the members of a day are read once for
each day of those that they are kept for."""

QUERIES = """The cost of a query in ClickHouse, with all its rows in the page cache:

- **One pin**: most of the cost is planning the query. Days need the most planning, because they also read hours and
  minutes that are not sealed.
- **One pin by surface or platform**: the view has a part for what is sealed and one for what is not, and both are
  planned for each question; "planned and not run" is the cost of that alone. `pintally.features` and `pintally
  breakdown` ask the tables in two statements without views, so they stay below what the view costs.
- **Top of a sealed hour**: reading the roll-up of that hour.
- **Top of an hour that is not sealed**: its minutes are summed. Most of the cost is the hash table of pins. Nothing is
  rolled up before it is final.
- **Top of a day**: the counts of all its pins are read. The UNION ALL of sealed and other windows keeps ClickHouse from
  reading only the sort column first.

The speed of a shared machine differs by half from minute to minute, and so do these times: a query takes some
milliseconds on two cores, too few to average the difference out. To compare two versions, run them alternately."""

RECOUNT = """`pintally verify` as a command in one process: the CPU of one more record of the log (read, recounted,
compared with its rows), and what a run costs besides (imports, questions to Kafka and ClickHouse). A record of a sample
costs about twice as much, because the slices before a drawn one are read for their ids.
[Verify all the time](verify.md) says how to run it."""

ROLLING = """Freshness while three workers are replaced one by one under load, from the first replacement until 5 s
after the last one (`python -m bench.rolling`). `again`: a worker is told to stop, and a new process starts under its
name when it has ended, as in a StatefulSet. `beside`: the new process starts first and takes the place of the old one
when it is ready. Partitions do not move in either, and each source is restored once.
[Run on Kubernetes](kubernetes.md#upgrade-without-a-gap) says which one there is where."""

FLUSHES = """What a flush takes with several servers of ClickHouse, side by side as workers take it, and one server
after the other (`python -m bench.flushes`). The servers share two cores and one disk here."""

DAY = """### A day with an evening peak

Simulated by `python -m bench.day` from what was measured; other options show what another plan carries. In the second
table what one insert takes of Keeper is an assumption, and so are the curve of the day and the number of cores."""

BILLION = """### A billion events beside peers

CPU of all processes together, by the runs of "Beside its peers": what counts beside readers takes their CPU. Pintally
checks every field, drops duplicates and keeps a ledger; the others read the pin and the time of an event."""

CAPACITY = """Computed by `python -m bench.capacity` from the measured cost, rows and bytes of an event. Sources are
independent, so the cost grows linearly with the rate; "How cost grows" shows how far that was measured. Networks, TLS,
compression and replicas are not included."""


def page(results: Path = RESULTS) -> str:
    """The whole document."""
    sections = (
        ("The spread over shapes of traffic", spread),
        ("Beside its peers", peers),
        ("What an event costs", stages),
        ("What limits it", limit),
        ("Steady traffic", lambda at: of_limits(at, "steady", STEADY)),
        ("Freshness", lambda at: pictured(at, "freshness")),
        ("Recovery", lambda at: of_limits(at, "recovery")),
        ("Memory", lambda at: of_limits(at, "memory")),
        ("An upgrade", lambda at: of_limits(at, "rolling", ROLLING)),
        ("How cost grows", growth),
        ("Rows and bytes in ClickHouse", lambda at: of_limits(at, "rows", ROWS)),
        ("What each aggregate adds", lambda at: aggregates_page.section(at, unmeasured("python -m bench.aggregates"))),
        ("Queries", lambda at: of_limits(at, "views", QUERIES)),
        ("Experiments", lambda at: of_limits(at, "experiments", EXPERIMENTS)),
        ("Users", lambda at: of_limits(at, "users", USERS)),
        ("Tops and features", lambda at: features_page.section(at, unmeasured("python -m bench.features"))),
        ("The recount", lambda at: of_limits(at, "verify", RECOUNT)),
        ("Capacity", capacity),
    )
    written: list[tuple[str, Callable[[Path], str]]] = list(sections)
    return "\n".join([HEAD, *(f"## {title}\n\n{write(results).strip()}\n" for title, write in written)])


def peers(at: Path) -> str:
    """The table of contestants, the targets, what a crash would do."""
    found = read_peers(at)
    if not found:
        return unmeasured("make bench")
    drawn = [shape for shape in found.shapes if (at / f"peers-{shape}.svg").exists()]
    picture = "\n\n".join(f"![Events a CPU-second, {each}](../bench/results/peers-{each}.svg)" for each in drawn)
    note = "What each system does after a crash, by its design. In these runs nothing crashed:"
    missing = failures(found) and f"Not shown:\n\n{failures(found)}"
    parts = (picture, contestants(found), missing, targets(found), note, crashes(found), surroundings(found))
    return "\n\n".join(part for part in parts if part)


def stages(at: Path) -> str:
    """Microseconds of CPU an event, by stage and shape."""
    profile = read_profile(at)
    if not profile:
        return unmeasured(KEEP_PROFILE)
    parts = [f"{title[:1].upper()}{title[1:]}:\n\n{stage_table(part)}" for title, part in profile["parts"].items()]
    about = "; ".join(f"{name}: {value}" for name, value in profile["about"].items())
    return "\n\n".join([*parts, f"{about}."])


def limit(at: Path) -> str:
    """What stands between the figures and more."""
    parts = [of_client(found) for found in [read_peers(at)] if found]
    parts += [of_stages(profile["parts"]) for profile in [read_profile(at)] if profile]
    return "\n\n".join([*(parts or [unmeasured(f"make bench` and `{KEEP_PROFILE}")]), NEXT])


def of_client(found: Results) -> str:
    """Our cost an event beside the client's alone."""
    told = {"aiokafka-raw": "aiokafka's own `getmany` alone", "confluent-raw": "confluent-kafka's `consume` alone"}
    named = [f"{us(found, name):.2f} us for {words}" for name, words in told.items() if found.of(name)]
    if not found.of(OURS):
        return unmeasured("make bench")
    beside = f", beside {' and '.join(named)}, which decode and count nothing" if named else ""
    return (
        f"An event of shape `own` costs a worker {us(found, OURS):.2f} us in all{beside}. The worker takes whole "
        "batches from the client, and makes no object for a record; such objects are most of the cost of the client's "
        "own calls. "
        f"1,000,000 events a CPU-second would be a budget of {BUDGET_US:.2f} us."
    )


def of_stages(parts: dict[str, Any]) -> str:
    """Where the microseconds are, by shape: in the whole worker if it was measured."""
    title, shapes = next(((title, part) for title, part in parts.items() if WHOLE in title), next(iter(parts.items())))
    return "\n\n".join(of_shape(f"{title}, shape `{shape}`", part) for shape, part in shapes.items())


def of_shape(title: str, part: dict[str, Any]) -> str:
    """The most expensive stages of one shape."""
    costs = {name: cost["median"] for name, cost in part.items() if name not in SUMS}
    dearest = sorted(costs, key=lambda name: -costs[name])[:5]
    named = ", ".join(f"{name} ({costs[name]:.2f} us)" for name in dearest)
    together = sum(costs[name] for name in dearest)
    return (
        f"The most expensive stages ({title}) are {named}: {together:.2f} us of {sum(costs.values()):.2f} us together."
    )


def of_limits(at: Path, name: str, prose: str = "") -> str:
    """The figures of one benchmark of limits."""
    path = at / f"{name}.json"
    shown = figures(Kept.from_json(path.read_text())) if path.exists() else unmeasured(f"python -m bench.{name}")
    return f"{prose}\n\n{shown}".strip()


def pictured(at: Path, name: str) -> str:
    """The same with its plot."""
    picture = f"![{name}](../bench/results/{name}.svg)\n\n" if (at / f"{name}.svg").exists() else ""
    return picture + of_limits(at, name)


def growth(at: Path) -> str:
    """Cost by workers, shards, partitions and pins, and the time of a flush by shards."""
    return "\n\n".join([GROWTH, of_limits(at, "scale"), of_limits(at, "flushes", FLUSHES)])


def capacity(at: Path) -> str:
    """The model's tables, the day, and what a billion events cost others."""
    found = read_peers(at)
    beside = (found and billion.section(found, OURS)) or unmeasured("make bench")
    parts = [CAPACITY, computed(at, "capacity"), DAY, computed(at, "day"), BILLION, beside]
    return "\n\n".join(part.strip() for part in parts)


def computed(at: Path, name: str) -> str:
    """What a model wrote."""
    path = at / f"{name}.md"
    return path.read_text() if path.exists() else unmeasured(f"python -m bench.{name}")


def stage_table(measured: dict[str, Any]) -> str:
    """A row for each stage, a column for each shape: median (lowest to highest)."""
    stages = dict.fromkeys(stage for stages in measured.values() for stage in stages)
    rows = [
        [stage, *(spread_of(costs[stage]) if stage in costs else "" for costs in measured.values())] for stage in stages
    ]
    return table(("median (lowest to highest)", *(f"`{shape}`" for shape in measured)), rows)


def spread_of(cost: dict[str, float]) -> str:
    """Median (lowest to highest)."""
    return f"{number(cost['median'])} ({number(cost['lowest'])} to {number(cost['highest'])})"


def number(value: float) -> str:
    """Microseconds to the nanosecond; what is large as a whole."""
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def us(found: Results, name: str) -> float:
    """Microseconds of CPU an event."""
    return 1e6 / median_rate(found, name)


def read_peers(at: Path) -> Results | None:
    """The results of `make bench`, if there are any."""
    path = at / "peers.json"
    return Results.from_json(path.read_text()) if path.exists() else None


def read_profile(at: Path) -> dict[str, Any] | None:
    """The results of `make profile`, if there are any."""
    path = at / "profile.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def unmeasured(command: str) -> str:
    """In place of a table that nobody has made yet."""
    return f"Nothing is kept yet: `{command}`."


if __name__ == "__main__":
    PAGE.write_text(page())
