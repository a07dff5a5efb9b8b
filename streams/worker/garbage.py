"""Python's garbage collector, which by default walks the whole heap of a worker over and over for nothing."""

import gc

# The heap of a worker is Faust, numpy and numba, and hardly anything that a fetch makes is ever part of a cycle. With
# these thresholds, and what was loaded frozen, a worker counted a quarter more events a CPU-second, in two of three
# pairs of runs; and it loaded what it needs in 1.4 s of CPU instead of 1.7. JSON that is read value by value
# (`decoder`) makes an object a value, 120,000 in a fetch of twelve partitions: the first threshold lies above that.
THRESHOLDS = (300_000, 20, 100)


def leave_loaded() -> None:
    """Have the collector leave what there is so far, and run less often from now on. Cycles are still found.

    Nothing is collected first: of 700,000 objects that a start makes 100 are garbage, and to find them takes 0.15 s.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
