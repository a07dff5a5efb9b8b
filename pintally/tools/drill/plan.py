"""Which fault comes when. Pure: the same seed and names, the same plan."""

import random
from collections.abc import Iterator, Sequence


def rounds(names: Sequence[str], seed: int, most: dict[str, int] | None = None) -> Iterator[tuple[int, str]]:
    """(round, fault) for ever: each round every fault once, in an order of its own; fewer where `most` says so."""
    rng = random.Random(f"{seed} {' '.join(names)}")
    number = 0
    while names:
        order = [name for name in names if number < (most or {}).get(name, number + 1)]
        if not order:
            return
        rng.shuffle(order)
        yield from ((number, name) for name in order)
        number += 1
