"""A short drill as an operator runs it: it passes with every fault it claims, also with a fourth action, and is
inconclusive where one can have no effect.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

FAULTS = ("worker-kill", "clickhouse-kill", "answers-lost", "duplicated-sends", "hammered-pin", "hostile-records")
BESIDE = {"pin_members", "arm_members", "experiment_cells", "user_seals", "flagged_users", "arm_day_seals"}


# A fault that can have no effect is injected three times, each time until nobody waits for its effect any more.
BRIEFLY = """
import runpy
from pintally.tools.drill.faults import network
network.LOST_SECONDS = 2.0
runpy.run_module("pintally.cli", run_name="__main__", alter_sys=True)
"""


def drill(
    folder: Path, *arguments: str, program: Sequence[str] = ("-m", "pintally.cli")
) -> "subprocess.CompletedProcess[str]":
    """Run `pintally drill --json` to its end."""
    return subprocess.run(
        [sys.executable, *program, "drill", "--json", "--keep", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PINTALLY_SLICE_RECORDS": "7", "PINTALLY_TOPIC_PREFIX": "not.ours."},
    )


def processes_of(folder: Path) -> Sequence[str]:
    """Command lines of processes that name the folder."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            lines.append(line)
    return lines


@pytest.mark.usefixtures("four_actions")
@pytest.mark.timeout(900)
def test_a_short_drill_passes_names_what_took_effect_and_leaves_nothing_running(tmp_path: Path) -> None:
    """With a fourth action: what holds then holds of three."""
    done = drill(
        tmp_path, "--faults", ",".join(FAULTS), "--minutes", "0.3", "--rate", "1000", "--seed", "4",
        "--report", str(tmp_path / "report.txt"),
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    assert {name for name, told in found["faults"].items() if told["took_effect"]} == set(FAULTS)
    assert all(told["evidence"] for told in found["faults"].values())
    assert found["lag"] == 0
    assert found["events"] > 10_000
    assert found["verify"]["exit_code"] == 0
    assert found["beside"].keys() == BESIDE
    assert min(found["beside"].values()) > 0, "all that can be counted was, and its users were sealed and flagged"
    assert found["reader"]["violations"] == []
    assert found["reader"]["final_windows"] > 0, "past hours became final, and the reader saw them"
    assert found["happened"]["ambiguous_inserts"] > 0
    assert found["happened"]["flushes_failed"] > 0
    assert 0 < found["memory"]["peak_mib"] <= found["memory"]["budget_mib"]
    assert "verdict  exact" in (tmp_path / "report.txt").read_text()
    assert processes_of(tmp_path) == []
    assert any(log.stat().st_size for log in tmp_path.rglob("*.share.v1-*/*.log")), "there were shares"


@pytest.mark.timeout(900)
def test_a_drill_whose_fault_can_have_no_effect_is_inconclusive(tmp_path: Path) -> None:
    """At two events a second no insert is large enough to lose its answer."""
    done = drill(
        tmp_path, "--faults", "answers-lost", "--minutes", "0", "--rate", "2", "--workers", "2", "--seed", "5",
        program=("-c", BRIEFLY),
    )  # fmt: skip
    assert done.returncode == 2, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["inconclusive"] == ["never took effect: answers-lost"]
    assert found["failures"] == []
    assert found["faults"]["answers-lost"]["took_effect"] == 0
