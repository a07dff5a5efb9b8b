"""Hours of the emulator's traffic in ClickHouse, as workers would have counted and sealed them at the time.

The emulator says which records are counted and when each arrives, so no Kafka is needed. It gives each pin the same
popularity for ever; here each of several runs has pins of its own for three hours, so that pins come and go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import ExperimentRows, PinMinuteRows
from pintally.schemas.experiments import bucket_of
from pintally.schemas.label_column import UNKNOWN, LabelColumn
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import HOUR_MS, Rules
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.tools.emulate.arms import ARMS, EXPERIMENT, arms_of
from pintally.tools.emulate.plan import Plan
from pintally.tools.emulate.traffic import Slab, Traffic

BUCKET, HOUR = 600, 3600
RULES = Rules()
WIDE = Rules(allowed_lateness_ms=6 * HOUR_MS)  # the emulator wants its span within the lateness, as it sends it at once
CELL = [("arrived", np.int64), ("action", np.int64), ("minute", np.int64), ("pin", np.uint64)]
ARM_CELL = [(name, np.int64) for name in ("arrived", "action", "hour", "arm", "bucket")]
PUBLISHED_AFTER = 5  # seconds after a cut until workers have published it
# What sealing wrote now, workers would have written then.
DATED = (
    "INSERT INTO cuts (cut, hours_until, published_at, seal)"
    " SELECT cut, hours_until, toDateTime64(cut, 3, 'UTC') + INTERVAL {seconds} SECOND, seal FROM cuts",
    "DELETE FROM cuts WHERE published_at > cut + INTERVAL {seconds} SECOND",
)


@dataclass(frozen=True, slots=True)
class World:
    """What to emulate: the hours before `end` (seconds since 1970). In each of them a run begins."""

    end: int
    hours: int = 6
    events: int = 12_000  # of each run
    pins: int = 400  # of each run
    lasts: int = 3  # hours of each run
    effect: float = 0.0  # of the arm `treatment` on saves

    def slabs(self) -> Iterator[tuple[Traffic, Slab]]:
        """The records of all runs, also those that arrive after the end."""
        for run in range(self.hours):
            anchor = (self.end + (self.lasts + run - self.hours) * HOUR) * 1000
            plan = Plan(
                self.events,
                seed=run + 1,
                span_ms=self.lasts * HOUR_MS,
                pins=self.pins,
                late=0,
                broken=0,
                effect=self.effect,
            )
            traffic = Traffic(plan, WIDE, anchor)
            yield from ((traffic, slab) for slab in traffic.slabs())


def fill(address: ClickHouseAddress, world: World) -> None:
    """Count and seal a world, up to its end, with each cut published at its time."""
    with ClickHouseSink(address).session() as session:
        session.write_cells(cells_of(world), arms_of_world(world))
    seal(address, world.end - RULES.allowed_lateness_ms // 1000)
    while seal_cuts(address, world.end, RULES.allowed_lateness_ms // 1000).more:
        pass
    with Connection(address, 60) as connection:
        for statement in DATED:
            connection.execute(statement.format(seconds=PUBLISHED_AFTER))


def cells_of(world: World) -> PinMinuteRows:
    """The cells of all counted records: one source, and a slice for each bucket of arrival."""
    parts = []
    for traffic, slab in world.slabs():
        counted = (slab.outcome == Outcome.COUNTED) & (slab.arrival < world.end * 1000)
        arrived = slab.arrival[counted] // 1000 // BUCKET * BUCKET
        minute = slab.occurred[counted] // 60_000 * 60
        pin = traffic.pins.ids[slab.pin[counted]]
        parts.append(np.rec.fromarrays([arrived, slab.action[counted], minute, pin], CELL))
    keys, events = np.unique(np.concatenate(parts), return_counts=True)
    same = np.ones(len(keys), np.int64)
    columns: dict[str, NDArray[Any] | LabelColumn] = {
        "source": same,
        "slice_block": same * 0,
        "arrived_at": keys["arrived"],
        "action": keys["action"],
        "minute": keys["minute"],
        "pin_id": keys["pin"],
        "surface": LabelColumn.repeat(UNKNOWN, len(keys)),
        "platform": LabelColumn.repeat(UNKNOWN, len(keys)),
        "events": events,
        "trusted": events,
        "version": same,
    }
    return PinMinuteRows.of(columns[name] for name in PinMinuteRows.columns())


def arms_of_world(world: World) -> ExperimentRows:
    """The cells of the experiment, of the same records; all in one slice of each bucket of arrival."""
    parts = []
    for _, slab in world.slabs():
        arm = arms_of(slab.user)
        counted = (slab.outcome == Outcome.COUNTED) & (slab.arrival < world.end * 1000) & (arm > 0)
        arrived, hour = slab.arrival[counted] // 1000 // BUCKET * BUCKET, slab.occurred[counted] // HOUR_MS * HOUR
        bucket = np.array([bucket_of(user) for user in slab.user[counted].tolist()], np.int64)
        columns = [arrived, slab.action[counted], hour, arm[counted], bucket]
        parts.append(np.rec.fromarrays(columns, ARM_CELL))
    keys, events = np.unique(np.concatenate(parts), return_counts=True)
    same = np.ones(len(keys), np.int64)
    found: dict[str, NDArray[Any] | LabelColumn] = {
        "source": same,
        "slice_block": same * 0,
        "arrived_at": keys["arrived"],
        "action": keys["action"],
        "hour": keys["hour"],
        "experiment": LabelColumn.repeat(EXPERIMENT, len(keys)),
        "arm": LabelColumn(keys["arm"].astype(np.uint32), ARMS),
        "bucket": keys["bucket"],
        "events": events,
        "trusted": events,
        "version": same,
    }
    return ExperimentRows.of(found[name] for name in ExperimentRows.columns())
