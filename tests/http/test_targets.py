"""Which processes say where they can be scraped."""

import json
from pathlib import Path

import pytest

from pintally.streams.http.targets import SERVE_JOB, WORKER_JOB, announced_target, announced_targets


def test_a_target_is_there_while_its_process_is(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    with (
        announced_target("127.0.0.1:1", WORKER_JOB, "b", folder),
        announced_target("127.0.0.1:2", WORKER_JOB, "a", folder),
    ):
        assert announced_targets(WORKER_JOB, folder) == ["127.0.0.1:2", "127.0.0.1:1"]
        assert announced_targets(SERVE_JOB, folder) == []
        assert json.loads((folder / "a.json").read_text()) == [
            {"targets": ["127.0.0.1:2"], "labels": {"job": "pintally-worker"}}
        ]
    assert list(folder.iterdir()) == []


def test_a_process_leaves_the_file_of_the_one_that_took_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    with announced_target("127.0.0.1:1", WORKER_JOB, "a", folder):
        (folder / "a.json").write_text(json.dumps([{"targets": ["127.0.0.1:2"], "labels": {"job": WORKER_JOB}}]))
    assert announced_targets(WORKER_JOB, folder) == ["127.0.0.1:2"]


def test_without_the_folder_of_local_engines_nothing_is_written(tmp_path: Path) -> None:
    with announced_target("127.0.0.1:1", WORKER_JOB, "a", tmp_path / "none" / "targets"):
        assert list(tmp_path.iterdir()) == []


def test_what_is_no_list_of_targets_is_none(tmp_path: Path) -> None:
    for text in ("", "{}", "[1]", '[{"targets": ["a"]}]'):
        (tmp_path / "x.json").write_text(text)
        assert announced_targets(WORKER_JOB, tmp_path) == []


def test_a_process_that_cannot_say_so_serves_all_the_same_and_logs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "targets"
    folder.write_text("no folder")
    with announced_target("127.0.0.1:1", WORKER_JOB, "a", folder):
        [line] = caplog.messages
    assert line.startswith(f"{folder / 'a.json'} cannot be written, so Prometheus does not find 127.0.0.1:1 there: ")


def test_a_file_that_cannot_be_removed_ends_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with announced_target("127.0.0.1:1", WORKER_JOB, "a", tmp_path / "targets"):
        monkeypatch.setattr(Path, "unlink", refused)
