"""Whether a Docker daemon answers is found out without leaving anything behind."""

import gc
from pathlib import Path

import pytest

from tests.support.engines import docker_answers


@pytest.mark.parametrize("made", [False, True], ids=["absent", "left behind by a daemon that is gone"])
def test_a_docker_socket_without_a_daemon_is_no_answer_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: bool
) -> None:
    path = tmp_path / "docker.sock"
    if made:
        path.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert not docker_answers()
    gc.collect()  # a socket left open would be an error here
