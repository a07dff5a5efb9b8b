"""A child process of ours whose clock is wrong: `python -m tests.support.shifted_clock SECONDS COMMAND...`.

Stands for `python -m pintally.cli COMMAND...` on a machine whose clock is so many seconds ahead, or behind if negative.
Only the time of day is moved, as a wrong clock would be; what measures durations (`monotonic`) goes on.
"""

import sys
import time


def shift(seconds: int) -> None:
    """Move what `time.time` and `time.time_ns` say in this process."""
    time_ns, nanoseconds = time.time_ns, seconds * 1_000_000_000
    time.time_ns = lambda: time_ns() + nanoseconds
    time.time = lambda: (time_ns() + nanoseconds) / 1e9


if __name__ == "__main__":
    shift(int(sys.argv.pop(1)))
    from pintally.cli import main

    main()
