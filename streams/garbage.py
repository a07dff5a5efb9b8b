"""Python's cyclic garbage collector, kept off the hot path.

Every fetched record is an object that the collector counts, though none is ever part of a cycle. At its default
thresholds it walks the whole heap (Faust, numpy and pandas among it) over and over. To fetch and unpack an event costs
2.9 us then, 1.3 with the heap of the start-up frozen, and 1.0 with higher thresholds too, as with no collector at all.

A fetch of twelve partitions makes 120,000 such objects at once, and folding ends them. With a threshold above that the
collector hardly ever runs: to unpack an event cost a worker 0.56 us at 50,000, 0.44 at 300,000.
"""

import gc

THRESHOLDS = (300_000, 20, 100)


def keep_off_hot_path() -> None:
    """Leave what the start-up has made alone, and look less often. Cycles are still found."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
