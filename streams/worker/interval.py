"""When something periodic is due. Faust's timers wait a whole interval after each call, however long it took."""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic


async def paced(
    interval: float, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float] = monotonic
) -> AsyncIterator[None]:
    """Yield every `interval` seconds, first after one. What takes longer is followed at once; none is made up for."""
    due = clock() + interval
    while True:
        await sleep(max(0.0, due - clock()))
        yield
        due = max(due + interval, clock())
