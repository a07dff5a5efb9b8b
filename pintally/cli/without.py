"""`pintally drill --without NAME`: a protection is switched off, and the drill must see it."""

from collections.abc import Callable
from dataclasses import asdict
from inspect import getdoc
from pathlib import Path

from pintally.cli.console import print_json
from pintally.schemas.errors import PintallyError
from pintally.tools.drill.controls import CONTROLS
from pintally.tools.drill.report import WORDS
from pintally.tools.drill.scenarios import SCENARIOS, scenario_of
from pintally.tools.drill.without import ControlRun, play
from pintally.tools.engines import local_engines

LIST = "list"


def drill_without(name: str, folder: Path, as_json: bool, say: Callable[[str], None]) -> int:
    """Play the scenario that needs this protection on engines of its own; the exit code. `list` lists the names.

    Raises PintallyError for a name that nobody knows, and where the engines cannot be started.
    """
    if name == LIST:
        print(listed())
        return 0
    if name not in protections():
        raise PintallyError(
            f"--without {name}: no protection that a drill can switch off",
            f"Choose from: {', '.join(protections())}.",
        )
    scenario = scenario_of(name)
    say(f"{scenario.name}, without a protection: {protections()[name]}")
    say(scenario.summary)
    with local_engines(folder / "engines", report=say) as engines:
        run = play(scenario, engines.addresses, folder, name)
    print_json(_document(run)) if as_json else print(_text(run))
    return run.exit_code


def protections() -> dict[str, str]:
    """What can be switched off, and what that means."""
    names = sorted(name for scenario in SCENARIOS.values() for name in scenario.without)
    return {name: (getdoc(CONTROLS[name]) or "").splitlines()[0] for name in names}


def listed() -> str:
    """One protection a line."""
    width = max(map(len, protections()))
    return "\n".join(f"{name:<{width}}  {summary}" for name, summary in protections().items())


def _document(run: ControlRun) -> dict[str, object]:
    return {**asdict(run), "exit_code": run.exit_code, "verdict": WORDS[run.exit_code]}


def _text(run: ControlRun) -> str:
    lines = [f"red: {reason}" for reason in run.red]
    if run.inconclusive:
        lines.append(f"inconclusive: {run.inconclusive}")
    lines.append(f"verdict  {WORDS[run.exit_code]} after {run.seconds:.1f} s (exit code {run.exit_code})")
    return "\n".join(lines)
