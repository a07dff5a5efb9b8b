"""Results as tables in Markdown: medians with their spread, what was asked for, what failed, where it ran."""

from collections.abc import Callable, Sequence
from statistics import median

from bench.measured import Measured
from bench.outcome import Entry, Results
from bench.shapes import SHAPES
from bench.targets import Verdict, verdicts

MILLION = 1_000_000
MIB = 2**20
SHARED = "Every run shared the machine with much other work (see load): compare contestants, not rates with other days."
MET = {True: "yes", False: "**no**", None: "not measured"}

HEADINGS = (
    "Contestant",
    "runs",
    "events",
    "events a CPU-second",
    "events/s",
    "peak MiB",
    "ClickHouse CPU-s a million",
    "broker CPU-s a million",
    "load",
    "counts",
)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [contestants(results), targets(results), failures(results), surroundings(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def contestants(results: Results) -> str:
    """A table for each shape of the log, with a row for each that ran."""
    return "\n\n".join(of_shape(results, name) for name in results.shapes)


def of_shape(results: Results, shape: str) -> str:
    """The contestants on the log of one shape."""
    size = f", {results.value_bytes[shape]:,} bytes a value" if shape in results.value_bytes else ""
    ran = [(entry, runs) for entry in results.contestants if (runs := results.of(entry.name, shape))]
    return f"Shape `{shape}` ({SHAPES[shape].what}{size}):\n\n{table(HEADINGS, [row(*each) for each in ran])}"


def crashes(results: Results) -> str:
    """What a crash does to each one's counts: known from how it works, not from this benchmark."""
    rows = [[entry.title, entry.crash] for entry in results.contestants if entry.crash]
    return table(("Contestant", "After a crash"), rows)


def targets(results: Results) -> str:
    """What was asked for, met or not."""
    titles = {entry.name: entry.title for entry in results.contestants}
    rows = [
        [each.asked, each.shape, f"{each.target:,.0f}", measured(each), titles.get(each.of, ""), MET[each.met]]
        for each in verdicts(results)
    ]
    return table(("Pintally, 1 worker", "shape", "asked", "median (lowest to highest)", "compared with", "met"), rows)


def failures(results: Results) -> str:
    """Who did not run, and why; empty if all did."""
    titles = {entry.name: entry.title for entry in results.contestants}
    return "\n".join(
        f"- {titles[each.contestant]}, `{each.shape}`, {f'run {each.run}' if each.run else 'left out'}: "
        f"{each.reason.splitlines()[0]}"
        for each in results.failures
    )


def surroundings(results: Results) -> str:
    """Machine, work and versions."""
    machine, work = results.machine, results.work
    lines = (
        f"{results.began}. {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB.",
        f"A log of {work['events']:,} events in {work['partitions']} partitions: {work['cells']:,} cells of "
        f"{work['pins']:,} pins.",
        ", ".join(f"{name} {version}" for name, version in results.versions.items()) + ".",
    )
    shared = min((each.load for each in results.runs), default=0.0) > int(machine["cores"])
    return "\n".join([*lines, *([SHARED] if shared else [])])


def row(entry: Entry, runs: Sequence[Measured]) -> list[str]:
    """One contestant."""
    return [
        entry.title,
        str(len(runs)),
        f"{round(median(each.events for each in runs)):,}",
        spread(runs, lambda each: each.per_cpu_second),
        spread(runs, lambda each: each.per_second),
        f"{median(each.peak_bytes for each in runs) / MIB:,.0f}",
        per_million(runs, lambda each: each.clickhouse_cpu_seconds),
        per_million(runs, lambda each: each.kafka_cpu_seconds),
        f"{min(each.load for each in runs):.1f} to {max(each.load for each in runs):.1f}",
        counts(runs),
    ]


def counts(runs: Sequence[Measured]) -> str:
    """Whether the counts are right, of all runs together; how many landed where some are missing."""
    if any(each.correct is None for each in runs):
        return "counts nothing"
    wrong = [each for each in runs if not each.correct]
    if not wrong:
        return "all equal"
    worst = min(wrong, key=lambda each: each.landed or 0)
    return f"**wrong** in {len(wrong)} of {len(runs)}: {worst.landed or 0:,} of {worst.events:,} landed"


def spread(runs: Sequence[Measured], value: Callable[[Measured], float]) -> str:
    """Median (lowest to highest)."""
    values = [value(each) for each in runs]
    if len(values) == 1:
        return f"{values[0]:,.0f}"
    return f"**{median(values):,.0f}** ({min(values):,.0f} to {max(values):,.0f})"


def per_million(runs: Sequence[Measured], seconds: Callable[[Measured], float | None]) -> str:
    """Median CPU-seconds for a million events; empty where nobody could look."""
    known = [used / each.events * MILLION for each in runs if (used := seconds(each)) is not None]
    return f"{median(known):.2f}" if known else ""


def measured(verdict: Verdict) -> str:
    """The number beside its target."""
    if verdict.measured is None or verdict.low is None or verdict.high is None:
        return ""
    digits = 0 if verdict.target >= 1000 else 1
    return f"{verdict.measured:,.{digits}f} ({verdict.low:,.{digits}f} to {verdict.high:,.{digits}f})"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
