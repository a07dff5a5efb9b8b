"""What is counted of each slice. Slices, flushes, the ledger and recovery know nothing of a cell's key or value."""

from pintally.schemas.rules import Rules
from pintally.streams.counting.aggregates.aggregate import Aggregate, SliceVersion
from pintally.streams.counting.aggregates.arm_members import ArmMembers
from pintally.streams.counting.aggregates.experiment_cells import ExperimentCells
from pintally.streams.counting.aggregates.pin_members import PinMembers
from pintally.streams.counting.aggregates.pin_minutes import PinMinutes

# Each has its table in `schemas.cells.CELL_TABLES`. PinMinutes says which records are trusted, so it comes first.
AGGREGATES: list[type[Aggregate]] = [PinMinutes, PinMembers, ArmMembers, ExperimentCells]

__all__ = [
    "AGGREGATES",
    "Aggregate",
    "ArmMembers",
    "ExperimentCells",
    "PinMembers",
    "PinMinutes",
    "SliceVersion",
    "counted_by",
]


def counted_by(rules: Rules) -> list[type[Aggregate]]:
    """The aggregates that these rules count."""
    return [aggregate for aggregate in AGGREGATES if aggregate.is_counted(rules)]
