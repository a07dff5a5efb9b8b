"""What a worker counts of itself outlives it, and what it cannot write stops no counting."""

import json
from pathlib import Path

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.worker.counters import Counters, read


def test_the_file_holds_each_change_at_once(tmp_path: Path) -> None:
    file, own = tmp_path / "counters.json", Counters()
    own.add("flushes")  # before it is asked for
    own.keep_in(file)
    own.add("flushes")
    own.add("flushed_cells", 7)
    own.set("ready", 1)
    assert json.loads(file.read_text()) == {"flushes": 2, "flushed_cells": 7, "ready": 1}


def test_the_next_process_goes_on_from_what_the_file_holds(tmp_path: Path) -> None:
    file = tmp_path / "counters.json"
    for number in (1, 2, 3):
        own = Counters()
        own.keep_in(file)
        own.add("starts")
        own.set("ready", 0)
        assert (own["starts"], read(file)) == (number, {"starts": number, "ready": 0})


def test_what_nobody_keeps_is_counted_all_the_same(tmp_path: Path) -> None:
    own = Counters()
    own.add("flushes")
    assert own["flushes"] == 1
    assert read(tmp_path / "none.json") == {}


@pytest.mark.parametrize("content", ["no JSON", "7"])
def test_a_file_that_is_not_a_workers_is_refused_and_left(tmp_path: Path, content: str) -> None:
    file = tmp_path / "counters.json"
    file.write_text(content)
    with pytest.raises(PintallyError, match="cannot be kept"):
        Counters().keep_in(file)
    assert file.read_text() == content


def test_a_folder_that_is_gone_stops_no_counting(tmp_path: Path) -> None:
    folder, own = tmp_path / "folder", Counters()
    with pytest.raises(PintallyError, match="cannot be kept"):
        own.keep_in(folder / "counters.json")
    folder.mkdir()
    own.keep_in(folder / "counters.json")
    (folder / "counters.json").unlink()
    folder.rmdir()
    own.add("flushes")
    assert own["flushes"] == 1
