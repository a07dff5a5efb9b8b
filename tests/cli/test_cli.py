"""The shell of the command: help, version, exit codes, and what a person sees when something is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pintally import cli
from pintally.schemas.errors import PintallyError, Unavailable

HEAVY = {"aiokafka", "clickhouse_driver", "faust", "kafka", "numpy", "pydantic", "rich"}


def pintally(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pintally.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith("PINTALLY_")} | environment,
        check=False,
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes `pintally status` run a function of the test."""

    def replace(function: Callable[[], None]) -> None:
        single = typer.Typer(add_completion=False)
        single.command("status")(function)
        monkeypatch.setattr(cli, "load", lambda _name: typer.main.get_command(single))
        monkeypatch.setattr(sys, "argv", ["pintally", "status"])

    return replace


def test_help_lists_every_command_with_its_summary() -> None:
    shown = " ".join(pintally("--help").stdout.split())
    for name, summary in cli.COMMANDS.items():
        assert f" {name} {summary} " in shown


def test_without_a_command_help_is_shown() -> None:
    assert "Commands:" in "".join([(nothing := pintally()).stdout, nothing.stderr])


def test_help_imports_nothing_that_takes_long() -> None:
    program = (
        "import sys; from pintally.cli import main\n"
        "try: main()\n"
        f"finally: print('loaded:', sorted(set(sys.modules) & {HEAVY!r}))"
    )
    shown = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True).stdout
    assert "loaded: []" in shown


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_teaches_itself_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli.app, [name, "--help"])
    assert shown.exit_code == 0
    assert f"pintally {name}" in shown.stdout.partition("\n\n")[2]


def test_version_is_that_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert pintally("--version").stdout == f"pintally {version('pintally')}\n"


def test_a_command_that_does_not_exist_is_answered_with_the_one_that_was_meant() -> None:
    answer = pintally("statsu")
    assert answer.returncode == 2
    assert "Did you mean 'status'?" in answer.stderr


def test_a_bad_setting_is_an_error_and_a_remedy_without_a_traceback(tmp_path: Path) -> None:
    answer = pintally("status", cwd=tmp_path, PINTALLY_PARTITIONS="none")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: setting PINTALLY_PARTITIONS='none'")
    assert "\n  Set PINTALLY_PARTITIONS to a valid value: a number, or unset it" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_goes_away_by_itself_exits_75(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise Unavailable("Kafka does not answer at kafka:9092", "Start it.")

    command(away)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 75
    assert capsys.readouterr().err == "error: Kafka does not answer at kafka:9092\n  Start it.\n"


def test_what_a_person_must_mend_exits_2(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise PintallyError("topic engagement.save.v1 [0] is gone", "Run `pintally migrate`.")

    command(refuse)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: topic engagement.save.v1 [0] is gone\n  Run `pintally migrate`.\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), ModuleNotFoundError("no x", name="x")])
def test_an_error_nobody_foresaw_keeps_its_traceback_and_is_no_difference(
    error: Exception, command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Python exits with 1 after a traceback, and for `verify` that means that counts are wrong."""

    def fail() -> None:
        raise error

    command(fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert (said[0], said[-1].split(":")[0]) == ("Traceback (most recent call last):", type(error).__name__)


def test_ctrl_c_exits_130(command: Callable[[Callable[[], None]], None]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    command(interrupt)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def program(body: str) -> list[str]:
    """`pintally top`, as this function is it."""
    return [
        sys.executable,
        "-c",
        "import typer; from pintally import cli\n"
        "single = typer.Typer()\n"
        "@single.command('top')\n"
        f"def top() -> None:\n    {body}\n"
        "cli.load = lambda name: typer.main.get_command(single)\n"
        "cli.main()",
        "top",
    ]


def test_a_terminal_that_knows_no_tick_ends_no_command() -> None:
    latin = os.environ | {"PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(program("print('\\u2713 ready')"), env=latin, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\\u2713 ready\n", "")


@pytest.mark.parametrize("body", ["print('x' * 100_000)", "print('x')", "open('/dev/full', 'w').write('x' * 100_000)"])
def test_a_full_disk_is_said_without_a_traceback(body: str) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(program(body), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr == (
        "error: there is no room on the disk: No space left on device\n  Make room, then run it again.\n"
    )
    assert ended.returncode == 75  # a worker is started again, and goes on once there is room


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_left_ends_the_command_without_a_word(lines: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as closed:
        ended = subprocess.run(
            program(f"for number in range({lines}): print(number)"),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.stderr == ""
    assert ended.returncode == 141
