"""Where the suite makes its temporary files."""

import tempfile
from pathlib import Path

import pytest

from tests.support.temporary import has_room, use_memory

LITTLE_GB, MORE_THAN_ANY_GB = 0.0, 1e9


def test_they_are_in_memory_if_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/what it found before")
    environment: dict[str, str] = {}
    use_memory(environment, tmp_path, LITTLE_GB)
    assert environment == {"TMPDIR": str(tmp_path)}
    assert tempfile.tempdir is None


@pytest.mark.parametrize("given", [{}, {"TMPDIR": "/chosen"}])
def test_they_stay_where_they_are_if_there_is_no_room_or_a_folder_was_chosen(
    tmp_path: Path, given: dict[str, str]
) -> None:
    environment = dict(given)
    use_memory(environment, tmp_path, LITTLE_GB if given else MORE_THAN_ANY_GB)
    assert environment == given


def test_a_folder_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    assert not has_room(tmp_path / "none", LITTLE_GB)
