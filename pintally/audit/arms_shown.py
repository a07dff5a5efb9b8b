"""The cells of arms that one counted record is in, by recount, and their rows in ClickHouse."""

from dataclasses import dataclass

from pintally.audit.aggregates import place_of
from pintally.audit.aggregates.experiment_cells import ExperimentCells
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.labels import DIGEST_SQL, digest
from pintally.audit.shown import Stored, compared_below, row_of
from pintally.audit.slices import Slice

PLACE = place_of(ExperimentCells)
WHERE = (
    "action = {action:UInt8} AND hour = toDateTime({hour:UInt32}, 'UTC') AND bucket = {bucket:UInt8}"
    f" AND hex({DIGEST_SQL.format('experiment')}) = {{experiment:String}}"
    f" AND hex({DIGEST_SQL.format('arm')}) = {{arm:String}}"
)


@dataclass(frozen=True, slots=True)
class ArmCell:
    """A cell of `experiment_cells` that counts the event."""

    experiment: str  # under which it counts: `other` beyond the first arms of a slice
    arm: str
    hour: int  # seconds since 1970
    bucket: int  # of the user
    recounted: int  # counted records of the cell below `below`, by recount
    recounted_trusted: int
    below: int
    stored: Stored | None


def arm_cells(clickhouse: ClickHouse, source: int, slice_: Slice, offset: int) -> list[ArmCell]:
    """The cells of a counted record, in the order of their key; none where rules name none of its experiments."""
    cells = slice_.cells[PLACE]
    pairs = {(digest(each[0]), digest(each[1])): each for each in cells.arms.pairs} if cells.arms else {}
    found = []
    for cell in cells.of_record(offset):
        action, hour, experiment, arm, bucket = (column[cell].item() for column in cells.keys)
        names = {"experiment": experiment.hex().upper(), "arm": arm.hex().upper()}
        key = {"action": action, "hour": hour, "bucket": bucket}
        stored = row_of(clickhouse, "experiment_cells", WHERE, source, slice_.key, **names, **key)
        below = compared_below(slice_.end, stored)
        counted, trusted = cells.counted_below(cell, below)
        found.append(ArmCell(*pairs[experiment, arm], hour, bucket, counted, trusted, below, stored))
    return found
