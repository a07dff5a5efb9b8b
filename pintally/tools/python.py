"""How this program starts itself: whatever the current folder holds, no module is taken from there.

`python -m` puts the current folder before everything else: with a `schemas.py` in it `pintally demo` ran that file.
"""

import os
import sys
from collections.abc import MutableMapping

SAFE = (sys.executable, "-P")


def module(name: str) -> tuple[str, ...]:
    """The command that runs an installed module of ours."""
    return (*SAFE, "-m", name)


PINTALLY = module("pintally.cli")


def keep_children_safe(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have processes that Python itself starts for us (of `multiprocessing`) keep the current folder out as well.

    An empty part of PYTHONPATH, as "$PYTHONPATH:/more" leaves it where nothing was set, means the current folder too.
    """
    environment["PYTHONSAFEPATH"] = "1"
    if path := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(part for part in path.split(os.pathsep) if part)
