"""The pins people act on: a few very popular, most hardly seen."""

import numpy as np
from aiokafka.partitioner import murmur2
from numpy.random import Generator
from numpy.typing import NDArray

ZIPF_EXPONENT = 1.05  # popularity of the n-th pin ~ 1 / n^1.05

# An id is a shard (16 bits), a type (10 bits) and a number in that shard (36 bits), as sharded services mint them.
TYPE_SHIFT, SHARD_SHIFT = 36, 46
PIN_TYPE, USER_TYPE = 1, 2


def sharded_ids(rng: Generator, kind: int, count: int) -> NDArray[np.uint64]:
    """`count` different ids of 62 bits, most above 2^53."""
    shards = rng.integers(0, 1 << 16, count, dtype=np.uint64)
    # Numbers ascend, which makes the ids different without a search.
    step = (1 << TYPE_SHIFT) // (count + 1)
    numbers = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(step)
    return (shards << np.uint64(SHARD_SHIFT)) | np.uint64(kind << TYPE_SHIFT) | numbers


class Pins:
    """`count` pins, the most popular first; pins are named by their index until they are written."""

    def __init__(self, rng: Generator, count: int) -> None:
        self.ids = sharded_ids(rng, PIN_TYPE, count)
        self.texts: list[str] = [str(pin) for pin in self.ids.tolist()]
        weights = np.arange(1, count + 1, dtype=np.float64) ** -ZIPF_EXPONENT
        self._cumulated = np.cumsum(weights) / weights.sum()
        self._hashes = np.full(count, -1, np.int64)

    def draw(self, rng: Generator, count: int) -> NDArray[np.int64]:
        """Indices of `count` pins by popularity."""
        drawn = np.searchsorted(self._cumulated, rng.random(count))
        return np.minimum(drawn, len(self.ids) - 1).astype(np.int64)

    def key(self, index: int) -> bytes:
        """The record's key: the pin id in decimal."""
        return self.texts[index].encode()

    def partitions(self, indices: NDArray[np.int64], partitions: int) -> NDArray[np.int64]:
        """Where Java's default partitioner puts records with these pins as keys, in a topic of `partitions`."""
        unknown = np.unique(indices[self._hashes[indices] < 0])
        self._hashes[unknown] = [murmur2(self.key(index)) & 0x7FFFFFFF for index in unknown.tolist()]
        return self._hashes[indices] % partitions
