"""What a worker that ends until a person acts leaves for the page."""

import json
from pathlib import Path

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.worker.ended import ended_workers, forget_reason, leave_reason
from tests.worker.test_process import run

LOST = PintallyError("the ledger was lost", "Run `pintally accept-loss`.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ended"


def test_the_last_one_comes_first_with_its_reason_until_a_worker_of_its_name_counts(folder: Path) -> None:
    leave_reason("a/1", LOST, folder)
    leave_reason(None, PintallyError("no right", "GRANT it."), folder)
    found = ended_workers(folder)
    assert [(each.name, each.what, each.remedy) for each in found] == [
        ("worker", "no right", "GRANT it."),
        ("a/1", LOST.what, LOST.remedy),
    ]
    assert found[0].at >= found[1].at > 0
    forget_reason("a/1", folder)
    assert [each.name for each in ended_workers(folder)] == ["worker"]
    forget_reason(None, folder)
    forget_reason(None, folder)
    assert ended_workers(folder) == []


def test_nothing_is_left_where_there_is_no_folder_of_ours(tmp_path: Path) -> None:
    leave_reason("one", LOST, tmp_path / "none" / "ended")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_of_this_kind_is_passed_over(folder: Path) -> None:
    leave_reason("one", LOST, folder)
    for name, text in (("a", "{"), ("b", "[]"), ("c", json.dumps({"name": "x"}))):
        (folder / f"{name}.json").write_text(text)
    assert [each.name for each in ended_workers(folder)] == ["one"]


@pytest.mark.parametrize(("error", "left"), [("PintallyError('x', 'y')", True), ("Unavailable('x', 'y')", False)])
def test_only_who_ends_until_a_person_acts_leaves_it(tmp_path: Path, error: str, left: bool) -> None:
    file = tmp_path / "left"
    code, _ = run(f"watch.refusing = lambda _: open({str(file)!r}, 'w'); refuse({error})")
    assert (code, file.exists()) == ((2, True) if left else (75, False))
