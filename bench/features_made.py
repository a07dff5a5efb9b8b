"""The world of bench/features.py as it was made: filled, sealed, and kept in a folder for the next call."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.asking import Reader
from bench.features_sealing import measure_sealing
from bench.features_world import World, fill_cells, fill_older
from bench.figures import Figure, Kept
from pintally.streams.settings import Settings

FILE = "world.json"  # in the folder of --data


@dataclass(frozen=True)
class Made:
    """A world, the database that holds it, and what sealing it cost."""

    database: str
    world: World
    began: str  # ISO 8601, UTC
    load: list[float]  # of the machine over the last minute, before and after
    figures: list[Figure]
    samples: dict[str, list[Any]]

    @classmethod
    def read(cls, folder: Path) -> "Made | None":
        """The world that is kept in a folder; None if there is none."""
        path = folder / FILE
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        figures = [Figure(**each) for each in kept.pop("figures")]
        return cls(**kept | {"world": World(**kept["world"]), "figures": figures})

    def write(self, folder: Path) -> None:
        """Keep it."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    def add_to(self, found: Kept) -> None:
        """Take over what sealing it cost."""
        found.figures += self.figures
        found.samples |= self.samples
        load = " to ".join(f"{each:.1f}" for each in self.load)
        found.notes.append(f"The world was made, and its sealing measured, {self.began}; load {load}.")


def make(reader: Reader, settings: Settings, world: World, found: Kept, folder: Path | None) -> Made:
    """Fill and seal; the figures go to `found`, and with the world to `folder`."""
    fill_cells(reader.connection, world)
    fill_older(reader.connection, world)
    measure_sealing(reader, settings, world, found)
    load = [found.load[0], os.getloadavg()[0]]
    made = Made(settings.clickhouse.database, world, found.began, load, found.figures, found.samples)
    if folder:
        made.write(folder)
    return made
