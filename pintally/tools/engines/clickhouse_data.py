"""The data folders of local ClickHouse servers: which there are, and that their number does not change."""

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.shards import MOST

DATA = "data"


def shards_made(folder: EngineFolder) -> int:
    """Of how many shards the folder holds data; 0 if it is new.

    Their folders are made in descending order, so that the highest number tells it even after an interruption.
    """
    numbers = range(MOST, 0, -1)
    return next((number for number in numbers if (folder.shard(number - 1) / DATA).exists()), 0)


def make_shards(folder: EngineFolder, count: int) -> None:
    """Make the data folders of `count` shards that are not there yet."""
    for number in range(count - 1, -1, -1):
        (folder.shard(number) / DATA).mkdir(parents=True, exist_ok=True)


def refuse_another_number(folder: EngineFolder, count: int) -> None:
    """Raise PintallyError if the folder holds the data of another number of shards.

    Which shard a pin is on depends on their number: with another one a pin would be counted on two.
    """
    made = shards_made(folder)
    if made not in (0, count):
        raise PintallyError(
            f"the ClickHouse in {folder.path} was made with {_shards(made)}, and cannot go on with {_shards(count)}",
            f"Start it with --clickhouse-shards {made}, or choose another folder with --directory.",
        )


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"
