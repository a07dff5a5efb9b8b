"""`python -m tests.simulation --seeds 1000`: run schedules; a seed that fails says what happened in it."""

import argparse
import gc
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import repeat

from tests.simulation.controls import CONTROLS, schedules, seeds_for

BATCH = 250


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes run them")
    parser.add_argument("--control", choices=sorted(CONTROLS), help="switch one protection off: must fail")
    parser.add_argument("--controls", action="store_true", help="run without each control until a schedule fails")
    asked = parser.parse_args()
    if asked.controls:
        return _controls(asked.start, asked.seeds)
    began, seeds = time.monotonic(), range(asked.start, asked.start + asked.seeds)
    batches = [seeds[i : i + BATCH] for i in range(0, len(seeds), BATCH)]
    with ProcessPoolExecutor(asked.jobs) if asked.jobs > 1 else nullcontext() as pool:
        run = partial(pool.map, chunksize=1) if pool else map
        for batch, failed in zip(batches, run(first_failure, batches, repeat(asked.control)), strict=True):
            done = batch[-1] + 1 - asked.start
            if failed is not None:
                if pool:
                    pool.shutdown(cancel_futures=True)
                _show(failed, asked.control)
                print(f"seed {failed} failed, after {failed - asked.start:,} that did not")
                return 1
            if done % 1000 == 0:
                print(f"{done:,} schedules, {done / (time.monotonic() - began):.0f} a second", flush=True)
    print(f"{asked.seeds:,} schedules from seed {asked.start} in {time.monotonic() - began:.1f} s: all exact")
    return 0


@contextmanager
def few_collections() -> Iterator[None]:
    """Garbage is collected less often: a third of the time went there."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def first_failure(seeds: range, control: str | None) -> int | None:
    """The first of these seeds whose schedule is not exact."""
    with few_collections(), CONTROLS[control]() if control else nullcontext():
        for seed in seeds_for(control, seeds):
            try:
                for schedule in schedules(seed, control):
                    schedule.run()
            except Exception:  # noqa: BLE001  whatever it is, it must not be
                return seed
    return None


def _controls(start: int, seeds: int) -> int:
    """A table of all controls: the first seed that fails without each."""
    blind = 0
    print(f"{'control':40} {'first red':>9}  what is off")
    for name, control in sorted(CONTROLS.items()):
        failed = first_failure(range(start, start + seeds), name)
        blind += failed is None
        what = (control.__doc__ or "").split("\n")[0]
        print(f"{name:40} {'none' if failed is None else failed:>9}  {what}", flush=True)
    print(f"{len(CONTROLS) - blind} of {len(CONTROLS)} controls fail within {seeds:,} schedules from seed {start}")
    return 1 if blind else 0


def _show(seed: int, control: str | None) -> None:
    """Run a seed that failed once more, and tell its steps."""
    steps: list[str] = []
    with CONTROLS[control]() if control else nullcontext():
        try:
            for schedule in schedules(seed, control, steps.append):
                schedule.run()
        except Exception:  # noqa: BLE001
            print(*steps, sep="\n")
            traceback.print_exc(file=sys.stdout)
    switch = f" --control {control}" if control else ""
    print(f"repeat it: python -m tests.simulation --seeds 1 --start {seed}{switch}")


if __name__ == "__main__":
    sys.exit(main())
