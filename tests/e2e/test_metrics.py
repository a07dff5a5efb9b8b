"""The metrics of real workers: all that is declared, true, each source by one worker, no counter falls."""

from collections.abc import Callable
from pathlib import Path

from pintally.schemas.metrics import METRICS, WORKER, Kind
from pintally.schemas.outcomes import OUTCOMES, sum_of
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, Worker, wait_caught_up, wait_for, workers
from tests.support.programs import promtool
from tests.support.promql import OF_A_HISTOGRAM
from tests.support.scrape import Series, ask, ready, scrape, total, url_in

SOURCES = 9  # three topics of two partitions, and their replay topics of one


def url_of(worker: Worker) -> str:
    url: str = wait_for(lambda: url_in(worker.log), 60, "the address of its metrics")
    return url


def sources(series: Series) -> set[tuple[str, ...]]:
    """(partition, topic) of each source that is reported."""
    return {labels[::2] for (name, labels), _ in series.items() if name == "pintally_worker_source_offset"}


def counters(series: Series) -> Series:
    grow = ("_total", *OF_A_HISTOGRAM)
    return {key: value for key, value in series.items() if key[0].endswith(grow)}


def grown(before: Series, after: Series) -> list[str]:
    """Counters that fell, or are gone."""
    later = counters(after)
    return [
        f"{key}: {value} -> {later.get(key)}" for key, value in counters(before).items() if later.get(key, -1) < value
    ]


def test_each_source_is_reported_by_one_worker_and_no_counter_falls_over_rebalances(
    stack: Settings, tmp_path: Path
) -> None:
    with workers(stack, tmp_path) as start:
        first = url_of(start("one"))
        wait_for(lambda: ready(first)[0], 60, "ready")
        with Traffic(stack, "--events", "4000", "--broken", "0.02", "--seed", "60") as traffic:
            traffic.finish()
        wait_caught_up(stack)
        alone: Series = wait_for(lambda: acknowledged(stack, first), 60, "the last flush is acknowledged")
        assert len(sources(alone)) == SOURCES
        assert_true(stack, alone)
        assert_declared(alone)

        with Traffic(stack, "--rate", "500", "--seed", "61") as traffic:
            second_worker = start("two")
            second = url_of(second_worker)
            seen: dict[str, Series] = {first: alone}
            wait_for(watched(seen, lambda: settled(seen, first, second)), 60, "both count")
            second_worker.kill()
            del seen[second]
            wait_for(watched(seen, lambda: has_restored_all(seen[first])), 60, "one counts all")
            assert seen[first]["pintally_worker_assignments_total", ()] >= 3
            traffic.stop()
        wait_caught_up(stack)
        assert_declared(scrape(first))


def watched(seen: dict[str, Series], condition: Callable[[], bool]) -> Callable[[], bool]:
    """Before each look at the condition all workers are scraped; no counter of any may have fallen."""

    def look() -> bool:
        for url, before in list(seen.items()):
            seen[url] = scrape(url)
            assert grown(before, seen[url]) == []
        return condition()

    return look


def has_restored_all(series: Series) -> bool:
    return len(sources(series)) == SOURCES and series["pintally_worker_restore_seconds", ()] >= 0  # not NaN


def settled(seen: dict[str, Series], first: str, second: str) -> bool:
    """Each source is reported by one of both, and each reports some."""
    if not ready(first)[0] or not ready(second)[0]:
        return False
    found = {url: scrape(url) for url in (first, second)}
    shares = [sources(series) for series in found.values()]
    if not all(shares) or shares[0] & shares[1] or len(shares[0] | shares[1]) != SOURCES:
        return False
    seen.update(found)
    return True


def acknowledged(settings: Settings, url: str) -> Series | None:
    """What the worker says once it knows that all is recorded: the ledger's last row can be read a moment before."""
    series = scrape(url)
    if total(series, "pintally_worker_pending_cells"):
        return None
    for each in read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse)):
        labels = (str(each.source.partition), "flushed", each.source.topic)
        if series.get(("pintally_worker_source_offset", labels), 0) != each.log_end:
            return None
    return series


def assert_true(settings: Settings, series: Series) -> None:
    """A worker that counted all there is says what the ledger says."""
    found = read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse))
    outcomes = sum_of([each.outcomes for each in found])
    for outcome in OUTCOMES:
        said = sum(
            value for (name, labels), value in series.items() if name.endswith("records_total") and labels[0] == outcome
        )
        assert said == getattr(outcomes, outcome), outcome
    late_and_invalid = total(series, "pintally_worker_dead_letters_total")
    assert late_and_invalid == outcomes.late + outcomes.invalid > 0
    for each in found:
        at = str(each.source.partition)
        for position in ("folded", "flushed", "end"):
            said = series.get(("pintally_worker_source_offset", (at, position, each.source.topic)), 0)
            assert said == each.log_end
        assert series["pintally_worker_source_lag_seconds", (at, each.source.topic)] == 0
    assert total(series, "pintally_worker_freshness_seconds_count") > 0
    assert total(series, "pintally_worker_flushed_cells_total") > 0
    assert total(series, "pintally_worker_pending_cells") == 0


def assert_declared(series: Series) -> None:
    """Every metric of a worker is there, with the labels and type that it is declared with, and none besides."""
    found = {name for name, _ in series if name.startswith("pintally_")}
    of_histograms = {f"{each.name}{end}" for each in WORKER if each.kind is Kind.HISTOGRAM for end in OF_A_HISTOGRAM}
    others = {each.name for each in WORKER if each.kind is not Kind.HISTOGRAM}
    assert found == of_histograms | others
    for name, labels in series:
        if name in METRICS:
            assert len(labels) == len(METRICS[name].labels), name


def test_promtool_finds_nothing_to_say_about_them(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        url = url_of(start("one"))
        wait_for(lambda: ready(url)[0], 60, "ready")
        with Traffic(stack, "--events", "500", "--broken", "0.1", "--seed", "62") as traffic:
            traffic.finish()
        wait_caught_up(stack)
        status, text = ask(f"{url}/metrics")
    assert status == 200
    assert promtool("check", "metrics", text=text) == (0, "")
