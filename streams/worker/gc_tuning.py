"""Python's cyclic garbage collector, kept off the hot path.

At its default thresholds it walks the whole heap (Faust, numpy and numba among it) over and over, though hardly
anything that a fetch makes is ever part of a cycle. With the heap of the start-up frozen and higher thresholds a worker
counted a quarter more events a CPU-second, in two of three pairs of runs. JSON that is read value by value
(`decoder`) makes an object a value, 120,000 in a fetch of twelve partitions: the threshold lies above that.
"""

import gc

THRESHOLDS = (300_000, 20, 100)


def keep_off_hot_path() -> None:
    """Leave what the start-up has made alone, and look less often. Cycles are still found."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
