"""The units of systemd: what systemd itself says of them, and that they fit the command."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pintally.cli import COMMANDS, load
from pintally.cli.exit_codes import EXIT_CODES
from pintally.schemas.errors import DIFFERS, FOR_A_PERSON, TRY_AGAIN
from pintally.streams.settings import SETTINGS
from pintally.streams.worker.process import STOP_SECONDS
from tests.support.programs import systemd_analyze

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
NAMES = sorted(path.name for path in UNITS.iterdir() if path.suffix in (".service", ".timer"))
INSTALLED = "/opt/pintally/bin/pintally"


class Unit(configparser.RawConfigParser):
    """Keys as systemd writes them; one that is given twice keeps both values, a line each."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.read(UNITS / name)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def test_variables_that_units_set_are_settings() -> None:
    text = "".join(unit.read_text() for unit in UNITS.iterdir())
    given = re.findall(r"^#?(?:Environment=)?PINTALLY_(\w+)=", text, re.MULTILINE)
    assert given
    assert {name.lower() for name in given} <= SETTINGS.keys()


def verified(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `systemd-analyze verify` says of all units; skips the test where it is not found."""
    program = systemd_analyze()
    for name in NAMES:
        text = (UNITS / name).read_text().replace(INSTALLED, sys.executable)
        (folder / name.replace("@.", "@1.")).write_text(text)
    files = sorted(map(str, folder.iterdir()))
    return subprocess.run(
        [program, "verify", "--man=no", "--generators=no", *files],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    done = verified(tmp_path)
    ours = [line for line in done.stderr.splitlines() if "pintally" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_systemd_names_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "read").mkdir()
    for name in NAMES:
        text = (UNITS / name).read_text().replace("RestartPreventExitStatus", "RestartPreventExit")
        (tmp_path / "units" / name).write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "UNITS", tmp_path / "units")
    assert "RestartPreventExit" in verified(tmp_path / "read").stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".service")])
def test_a_unit_runs_a_command_that_exists_and_ends_as_systemd_is_told(name: str) -> None:
    service = Unit(name)["Service"]
    [command] = re.findall(rf"^{INSTALLED} (\w+)", service["ExecStart"])
    assert command in COMMANDS
    known = {option for parameter in load(command).params for option in parameter.opts}
    assert set(re.findall(r" (--[a-z-]+)", service["ExecStart"])) <= known
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert FOR_A_PERSON in prevented
    assert TRY_AGAIN not in prevented
    assert prevented - {FOR_A_PERSON} == ({DIFFERS} if command == "verify" else set())
    assert prevented <= {int(code) for code in map(str, EXIT_CODES) if code.isdecimal()}


@pytest.mark.parametrize("name", ["pintally-worker@.service", "pintally-serve.service"])
def test_what_goes_on_is_watched_and_has_the_time_to_end(name: str) -> None:
    service = Unit(name)["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert int(service["WatchdogSec"]) >= 30
    assert int(service["TimeoutStopSec"]) > STOP_SECONDS
    assert Unit(name)["Unit"]["StartLimitIntervalSec"] == "0"


def test_serve_reads_the_files_that_verify_writes() -> None:
    commands = [Unit(f"pintally-{name}.service")["Service"]["ExecStart"] for name in ("verify", "sample")]
    written = ",".join(file for command in commands for file in re.findall(r"--metrics (\S+)", command))
    assert f"PINTALLY_SERVE_VERIFIED={written}\n" in (UNITS / "pintally-serve.service").read_text()


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".timer")])
def test_a_timer_has_its_service(name: str) -> None:
    assert name.replace(".timer", ".service") in NAMES


def test_every_unit_is_on_the_page() -> None:
    page = (ROOT / "docs" / "systemd.md").read_text()
    assert [name for name in NAMES if name.partition(".")[0].rstrip("@") not in page] == []
