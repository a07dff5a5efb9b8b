"""`python -m tests.controls NAME`: runs what a protection is for in workers without it, and must exit with 1.

Without a name it lists the protections. Engines and logs are in a folder of its own, which is deleted in the end.
"""

import sys
from argparse import ArgumentParser
from inspect import getdoc
from pathlib import Path
from tempfile import TemporaryDirectory

from pintally.tools.drill.report import WORDS
from pintally.tools.engines import local_engines
from tests.controls import CONTROLS
from tests.controls.run import ControlRun, run_scenario
from tests.controls.scenarios import SCENARIOS, scenario_of


def main(arguments: list[str]) -> int:
    """The exit code of the run; 0 for a list."""
    parser = ArgumentParser(prog="python -m tests.controls", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(protections()), metavar="NAME")
    name = parser.parse_args(arguments).name
    if name is None:
        print(listed())
        return 0
    scenario = scenario_of(name)
    print(f"{scenario.name}, without a protection: {protections()[name]}\n{scenario.summary}")
    with (
        TemporaryDirectory(prefix="pintally-control-") as folder,
        local_engines(Path(folder, "engines"), brief=True) as engines,
    ):
        run = run_scenario(scenario, engines.addresses, Path(folder), name)
    print(text_of(run))
    return run.exit_code


def protections() -> dict[str, str]:
    """What can be switched off in a real worker, and what that means."""
    names = sorted(name for scenario in SCENARIOS.values() for name in scenario.without)
    return {name: (getdoc(CONTROLS[name]) or "").splitlines()[0] for name in names}


def listed() -> str:
    """One protection a line."""
    width = max(map(len, protections()))
    return "\n".join(f"{name:<{width}}  {summary}" for name, summary in protections().items())


def text_of(run: ControlRun) -> str:
    """Why, and the verdict."""
    lines = [f"failed: {reason}" for reason in run.failures]
    if run.inconclusive:
        lines.append(f"inconclusive: {run.inconclusive}")
    return "\n".join([*lines, f"verdict  {WORDS[run.exit_code]} after {run.seconds:.1f} s (exit code {run.exit_code})"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
