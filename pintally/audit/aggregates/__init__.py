"""What is counted again of each slice: one aggregate a table of cells, with code of the audit's own."""

from pintally.audit.aggregates.aggregate import Aggregate, CellRow, cell_rows, key_columns
from pintally.audit.aggregates.arm_members import ArmMembers
from pintally.audit.aggregates.experiment_cells import ExperimentCells
from pintally.audit.aggregates.pin_members import PinMembers
from pintally.audit.aggregates.pin_minutes import PinMinutes

AGGREGATES: list[Aggregate] = [PinMinutes(), PinMembers(), ArmMembers(), ExperimentCells()]

__all__ = ["AGGREGATES", "Aggregate", "CellRow", "cell_rows", "key_columns", "place_of"]


def place_of(kind: type[Aggregate]) -> int:
    """Where the cells of an aggregate are among those of a slice."""
    return next(at for at, each in enumerate(AGGREGATES) if isinstance(each, kind))
