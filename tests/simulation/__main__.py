"""`python -m tests.simulation --seeds 1000`: run schedules; a seed that fails says what happened in it."""

import argparse
import sys
import time
import traceback
from contextlib import nullcontext

from tests.simulation.controls import CONTROLS
from tests.simulation.schedule import Schedule


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="switch one protection off: must fail")
    asked = parser.parse_args()
    began = time.monotonic()
    with CONTROLS[asked.control]() if asked.control else nullcontext():
        for done, seed in enumerate(range(asked.start, asked.start + asked.seeds), 1):
            try:
                Schedule(seed).run()
            except Exception:  # noqa: BLE001  whatever it is, it must not be
                _show(seed, asked.control)
                print(f"seed {seed} failed, after {done - 1} that did not")
                return 1
            if done % 1000 == 0:
                print(f"{done:,} schedules, {done / (time.monotonic() - began):.0f} a second", flush=True)
    print(f"{asked.seeds:,} schedules from seed {asked.start} in {time.monotonic() - began:.1f} s: all exact")
    return 0


def _show(seed: int, control: str | None) -> None:
    steps: list[str] = []
    try:
        Schedule(seed, steps.append).run()
    except Exception:  # noqa: BLE001
        print(*steps, sep="\n")
        traceback.print_exc(file=sys.stdout)
    switch = f" --control {control}" if control else ""
    print(f"repeat it: python -m tests.simulation --seeds 1 --start {seed}{switch}")


if __name__ == "__main__":
    sys.exit(main())
