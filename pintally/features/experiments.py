"""The columns of what the arms of an experiment measured."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.reads.experiments import Measured

TYPES = {str: np.object_, float: np.float64, bool: np.bool_, int | None: np.float64}


def results_columns(found: Sequence[Measured]) -> dict[str, NDArray[Any]]:
    """One row for each arm and metric; NaN where an arm is the control arm, and for users that are not known."""
    return {
        each.name: np.array([getattr(row, each.name) for row in found], TYPES[each.type])  # type: ignore[index]
        for each in fields(Measured)
    }
