"""What a sample of slices says, by counting all cases and by drawing many times; and what it finds on real engines."""

from itertools import combinations
from math import comb, sqrt
from uuid import UUID

import pytest

from pintally.audit.chain import current_rows, epochs_of
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.findings import Kind
from pintally.audit.flushed import Flushed
from pintally.audit.one_source import audit_source
from pintally.audit.sampling import CONFIDENCE, Sample, Sampling, draw, recountable, runs_of
from pintally.audit.source_audit import SourceReport
from pintally.audit.tables import read_flushed
from pintally.streams.audit_addresses import addresses_of
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    Flusher,
    at_cell,
    exact,
    flushed,
    hurried,
    insert_cell,
    kinds,
    settings,
    shared,
    some_cell,
)

SLICES = {1: list(range(0, 400, 10)), 2: list(range(0, 600, 10))}  # 100 of two sources
SHARE = 0.3


@pytest.mark.parametrize(("drawn", "slices"), [(1, 1), (1, 9), (3, 9), (8, 9), (9, 9)])
def test_the_probability_to_miss_is_that_of_all_cases(drawn: int, slices: int) -> None:
    sample = Sample(0.5, 0, drawn, slices)
    for wrong in range(slices + 1):
        missing = sum(min(each, default=slices) >= wrong for each in combinations(range(slices), drawn))
        assert sample.missed(wrong) == pytest.approx(missing / comb(slices, drawn))


@pytest.mark.parametrize(("drawn", "slices"), [(1, 1), (1, 9), (3, 9), (60, 1_200), (600, 1_200), (1_200, 1_200)])
def test_what_is_ruled_out_would_have_been_found_with_the_stated_confidence(drawn: int, slices: int) -> None:
    sample = Sample(0.5, 0, drawn, slices)
    least = sample.fewer_than()
    assert sample.missed(least) <= 1 - CONFIDENCE
    assert least == 1 or sample.missed(least - 1) > 1 - CONFIDENCE
    runs = sample.runs()
    assert sample.missed(1) ** runs <= 1 - CONFIDENCE
    assert runs == 1 or sample.missed(1) ** (runs - 1) > 1 - CONFIDENCE


@pytest.mark.parametrize("wrong", [1, 3, 10])
def test_wrong_slices_are_drawn_as_often_as_stated(wrong: int) -> None:
    planted, tries, found = {(1, start) for start in SLICES[1][:wrong]}, 2_000, 0
    for seed in range(tries):
        drawn = {(source, start) for source, starts in draw(SLICES, Sampling(0.1, seed)).items() for start in starts}
        assert len(drawn) == 10
        found += bool(drawn & planted)
    stated = 1 - Sample(0.1, 0, 10, 100).missed(wrong)
    assert abs(found / tries - stated) < 3 * sqrt(stated * (1 - stated) / tries)  # the seeds are the same each time


def test_every_slice_is_drawn_equally_often() -> None:
    times = dict.fromkeys(((source, start) for source, starts in SLICES.items() for start in starts), 0)
    for seed in range(2_000):
        for source, starts in draw(SLICES, Sampling(0.1, seed)).items():
            for start in starts:
                times[source, start] += 1
    assert sum(times.values()) == 20_000
    assert all(140 < number < 260 for number in times.values())  # 200 each, standard deviation 13


def test_a_seed_draws_the_same_and_at_least_one() -> None:
    assert draw(SLICES, Sampling(0.2, 7)) == draw(dict(reversed(SLICES.items())), Sampling(0.2, 7))
    assert draw(SLICES, Sampling(0.2, 7)) != draw(SLICES, Sampling(0.2, 8))
    assert sum(map(len, draw(SLICES, Sampling(0.000_1, 7)).values())) == 1
    assert draw({}, Sampling(0.5, 7)) == {}


def of(flushed: Flusher) -> Flushed:  # noqa: F811 - a fixture's name too
    """The source of the log, as the audit sees it."""
    with ClickHouse(addresses_of(flushed.settings)) as clickhouse:
        (source,) = read_flushed(clickhouse)
    return source


def test_slices_that_follow_each_other_are_one_run(flushed: Flusher) -> None:  # noqa: F811
    source = of(flushed)
    starts = recountable(source, 0, 0)
    rows = current_rows(source, epochs_of(source))
    assert [len(run.rows) for run in runs_of(rows, [starts[1], starts[2], starts[5], starts[-1]])] == [2, 1, 1]
    assert [run.is_followed for run in runs_of(rows, [starts[0], starts[-1]])] == [True, False]
    assert recountable(source, starts[4], 0)[0] > starts[4]  # ids of earlier slices are gone


def test_each_slice_alone_is_exact(flushed: Flusher) -> None:  # noqa: F811
    source, recounted = of(flushed), list[int]()
    for start in recountable(source, 0, 0):
        report = audit_source(addresses_of(flushed.settings), source, 0, recounted.append, [start])
        assert (report.findings.shown, report.unverifiable, report.slices) == ([], [], 1)
    assert sum(recounted) > sum(row.position - row.start for row in source.ledger)  # and the slices before


def seeds(source: Flushed, start: int, *, drawn: bool) -> list[int]:
    """Three seeds that draw the slice at `start`, or three that do not."""
    known = {source.id: recountable(source, 0, 0)}
    every = (seed for seed in range(1_000) if (start in draw(known, Sampling(SHARE, seed))[source.id]) == drawn)
    return [next(every) for _ in range(3)]


def test_a_planted_difference_is_found_by_the_whole_and_by_the_samples_that_draw_its_slice(
    flushed: Flusher,  # noqa: F811
) -> None:
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes DELETE WHERE {at_cell(cell)}")
    insert_cell(flushed, cell | {"pin_id": 999})  # sums are right: only a recount sees it
    assert kinds(flushed.verify()) == {"row_missing", "row_extra"}
    source = of(flushed)
    (start,) = {row.start for row in source.ledger if row.key == (cell["slice_block"], cell["arrived_at"])}
    for seed in seeds(source, start, drawn=True):
        report = flushed.verify(sampling=Sampling(SHARE, seed))
        assert kinds(report) == {"row_missing", "row_extra"}
    for seed in seeds(source, start, drawn=False):
        report = flushed.verify(sampling=Sampling(SHARE, seed))
        exact(report)
        sample = report.sample
        assert sample is not None
        assert (sample.drawn, sample.slices) == (report.sources[0].slices, len(source.ledger))
        assert 0 < report.records < 990
        assert sample.missed(1) == pytest.approx(1 - sample.drawn / sample.slices)


def rewrite(flushed: Flusher, start: int, /, **changes: int) -> None:  # noqa: F811
    """Replace a ledger row; a change is added to a column."""
    where = f"start = {start}"
    (row,) = flushed.sql(f"SELECT * EXCEPT written_at FROM ingest_ledger FINAL WHERE {where}")
    names = [column[0] for column in flushed.sql("DESCRIBE ingest_ledger")][: len(row)]
    wrong = dict(zip(names, row, strict=True))
    wrong |= {"arrived_at": int(wrong["arrived_at"].timestamp())}
    wrong |= {name: wrong[name] + change for name, change in changes.items()}
    flushed.sql(f"ALTER TABLE ingest_ledger DELETE WHERE {where}")
    values = ", ".join(f"'{value}'" if isinstance(value, (str, UUID)) else str(value) for value in wrong.values())
    flushed.sql(f"INSERT INTO ingest_ledger ({', '.join(wrong)}) VALUES ({values})")


def found_in(flushed: Flusher, start: int) -> SourceReport:  # noqa: F811
    """What a recount of the slice at `start` finds."""
    report = audit_source(addresses_of(flushed.settings), of(flushed), 0, lambda _: None, [start])
    assert not report.unverifiable
    return report


def test_a_drawn_slice_is_compared_in_all_its_rows(flushed: Flusher) -> None:  # noqa: F811
    row = max(of(flushed).ledger, key=lambda row: (min(row.late, row.invalid), row.start))
    rewrite(flushed, row.start, late=1, invalid=-1)
    assert {finding.field for finding in found_in(flushed, row.start).findings.shown} == {"late", "invalid"}
    rewrite(flushed, row.start, late=-1, invalid=1)
    where = f"slice_block = {row.slice_block} AND toUInt32(arrived_at) = {row.arrived_at}"
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE {where}")
    flushed.sql(f"ALTER TABLE dead_letters DELETE WHERE offset >= {row.start} AND offset < {row.position}")
    expected = {Kind.COUNT_TOO_HIGH: row.counted, Kind.DEAD_LETTER_MISSING: row.late + row.invalid}
    counts = found_in(flushed, row.start).findings.counts
    assert counts[Kind.DEAD_LETTER_MISSING] == expected[Kind.DEAD_LETTER_MISSING] > 0
    assert set(counts) == set(expected)


def test_a_slice_that_the_ledger_ends_too_early_is_found(flushed: Flusher) -> None:  # noqa: F811
    """The chain joins, and the row of the slice is right up to its end; but the log has no border there."""
    rows = sorted(of(flushed).ledger, key=lambda row: row.start)
    early, late = rows[3], rows[4]
    rewrite(flushed, late.start, start=-3)
    rewrite(flushed, early.start, position=-3, version=-3)
    assert "position" in {finding.field for finding in found_in(flushed, early.start).findings.shown}
    assert Kind.LEDGER_EXTRA in found_in(flushed, late.start - 3).findings.counts
