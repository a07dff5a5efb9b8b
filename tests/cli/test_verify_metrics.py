"""`verify --metrics`: the file that it leaves, and what is read from it."""

import os
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from pintally.audit.findings import Finding, Kind
from pintally.audit.sampling import Sample
from pintally.audit.source_audit import SourceReport
from pintally.audit.verify import Report
from pintally.cli import app
from pintally.cli.verify_metrics import check_place, write_metrics
from pintally.schemas.errors import PintallyError
from pintally.schemas.metrics import VERIFIED
from pintally.serve.verified import read_runs
from tests.support.programs import promtool


def report(differences: int = 0, sample: Sample | None = None, unverifiable: tuple[str, ...] = ()) -> Report:
    made = Report(records=1_234, sample=sample, unverifiable=list(unverifiable))
    for _ in range(differences):
        made.findings.add(Finding(Kind.ROW_MISSING, "topic[0]"))
    return made


WHOLE, SAMPLED = report(), report(differences=30, sample=Sample(0.05, 7, 5, 100))


def values(file: Path) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(file.read_text())
    return {(each.name, each.labels["scope"]): each.value for family in families for each in family.samples}


def test_the_file_says_what_was_found_and_when(tmp_path: Path) -> None:
    before, file = time.time(), tmp_path / "pintally.prom"
    assert write_metrics([SAMPLED], file)
    found = values(file)
    assert before <= found.pop(("pintally_verified_timestamp_seconds", "sample")) <= time.time()
    assert found == {
        ("pintally_verified_records", "sample"): 1_234,
        ("pintally_verified_share", "sample"): 0.05,
        ("pintally_differences", "sample"): 30,  # all, not only the twenty that are shown
    }
    assert write_metrics([WHOLE], file)
    assert values(file)["pintally_verified_share", "whole"] == 1
    assert {name for name, _ in values(file)} == {metric.name for metric in VERIFIED}
    assert list(tmp_path.iterdir()) == [file], "what was written beside it was renamed"


def test_a_run_over_the_last_hours_says_which_share_of_the_slices_that_was(tmp_path: Path) -> None:
    file, recent = tmp_path / "pintally.prom", report()
    recent.sources = [SourceReport("a[0]", slices=3, known=12), SourceReport("a[1]", slices=2, known=8)]
    assert write_metrics([recent, WHOLE], file)
    assert values(file)["pintally_verified_share", "whole"] == 0.25


@pytest.mark.parametrize("made", [WHOLE, SAMPLED], ids=["whole", "sample"])
def test_promtool_finds_nothing_to_say(made: Report, tmp_path: Path) -> None:
    file = tmp_path / "pintally.prom"
    write_metrics([made], file)
    assert promtool("check", "metrics", text=file.read_text()) == (0, "")


def test_a_reader_never_sees_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, seen = tmp_path / "pintally.prom", []

    def rename(written: str, to: str) -> None:
        seen.append((values(Path(written)).keys() > set(), values(file)))
        renamed(written, to)

    renamed = os.rename
    write_metrics([WHOLE], file)
    before = values(file)
    monkeypatch.setattr(os, "rename", rename)
    write_metrics([SAMPLED], file)
    assert seen == [(True, before)], "until the new file is complete, the old one is read"
    assert values(file)["pintally_differences", "sample"] == 30


def test_who_cannot_tell_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "pintally.prom"
    assert not write_metrics([report(unverifiable=("the log was truncated",))], file)
    assert not file.exists()
    write_metrics([WHOLE], file)
    before = file.read_bytes()
    assert not write_metrics([report(unverifiable=("the log was truncated",))], file)
    assert file.read_bytes() == before
    assert write_metrics([report(differences=1, unverifiable=("the log was truncated",))], file)
    assert values(file)["pintally_differences", "whole"] == 1


def test_a_place_that_cannot_be_written_is_refused_before_the_recount(tmp_path: Path) -> None:
    check_place(tmp_path / "pintally.prom")
    for place in (tmp_path, tmp_path / "nowhere" / "pintally.prom"):
        with pytest.raises(PintallyError, match="cannot be written") as refused:
            check_place(place)
        assert str(place) in refused.value.what


def test_the_last_run_of_each_scope_is_read_and_a_sample_clears_no_difference(tmp_path: Path) -> None:
    whole, sample, other = tmp_path / "whole.prom", tmp_path / "sample.prom", tmp_path / "other.prom"
    assert read_runs([whole]).each() == []
    write_metrics([report(differences=2)], whole)
    write_metrics([report(sample=Sample(0.05, 7, 5, 100))], sample)
    other.write_text("# HELP up is not ours\nup 1\n")
    runs = read_runs([whole, sample, other, tmp_path / "not-there.prom"])
    assert set(runs.by_scope) == {"whole", "sample"}
    last, sampled = runs.each()
    assert (last.scope, last.records, last.differences) == ("whole", 1_234, 2)
    assert (sampled.scope, sampled.share, sampled.differences) == ("sample", 0.05, 0)
    other.write_bytes(b"\xff{broken")
    assert set(read_runs([other, whole]).by_scope) == {"whole"}


def test_several_shards_are_said_as_what_all_were_compared_with_and_all_differences(tmp_path: Path) -> None:
    file, less = tmp_path / "pintally.prom", report(differences=2)
    less.records = 1_000
    assert write_metrics([report(), less], file)
    found = values(file)
    assert found["pintally_verified_records", "whole"] == 1_000
    assert found["pintally_differences", "whole"] == 2
    before = file.read_bytes()
    assert not write_metrics([report(), report(unverifiable=("the log was truncated",))], file)
    assert file.read_bytes() == before
    assert write_metrics([report(differences=3), report(unverifiable=("the log was truncated",))], file)
    assert values(file)["pintally_differences", "whole"] == 3


def test_some_sources_do_not_stand_for_all(tmp_path: Path) -> None:
    """The file would say that the whole is exact, and end the alert of a difference in another source."""
    file = tmp_path / "pintally.prom"
    write_metrics([report(differences=1)], file)
    ended = CliRunner().invoke(app, ["verify", "--source", "engagement.save.v1[0]", "--metrics", str(file)])
    assert isinstance(ended.exception, PintallyError)
    assert str(ended.exception).startswith(
        "--metrics tells of all sources, and --source asks for some of them\n  Leave out"
    )
    assert values(file)["pintally_differences", "whole"] == 1
