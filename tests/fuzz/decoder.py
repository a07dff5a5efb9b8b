"""`python -m tests.fuzz.decoder --cases 10000000 --seed 7`: mutated events, by the decoder, the models and the audit.

Ends with exit code 1 at the first difference, and shows the value.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.decoding import decoder
from pintally.schemas.events import Event, validate
from tests.fuzz.event_values import EventValues
from tests.support.agreement import assert_agree

SIZES = (1, 3, 50, 400, 400)  # values of a chunk
EVERY = 10.0  # seconds between two lines


@dataclass
class Counts:
    """What the cases were."""

    cases: int = 0
    valid: int = 0
    left: int = 0  # valid, and left to the models

    def __str__(self) -> str:
        return f"{self.cases:,} cases, {self.valid:,} valid, of those {self.left:,} left to the models"


@contextmanager
def counting_models(counts: Counts) -> Iterator[None]:
    """Count what the decoder asks the models for, and they accept."""

    def counted(value: bytes | None, action: Action) -> Event:
        event = validate(value, action)
        counts.left += 1
        return event

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "validate", counted)
        yield


def fuzz(cases: int, seed: int, say: Callable[[str], None]) -> Counts:
    """Compare at least `cases` values. Raises AssertionError at the first difference."""
    counts, random = Counts(), Random(seed)
    sources = [EventValues(seed, action) for action in Action]
    told = time.monotonic()
    with counting_models(counts):
        while counts.cases < cases:
            source = random.choice(sources)
            values = source.laid_out(source.values(random.choice(SIZES)))
            counts.valid += assert_agree(decoder.decode(values, source.action), list(values), source.action)
            counts.cases += len(values)
            if time.monotonic() - told > EVERY:
                told = time.monotonic()
                say(str(counts))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoder", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    try:
        print(fuzz(given.cases, given.seed, lambda line: print(line, flush=True)))
    except AssertionError as error:
        sys.exit(f"different: {error}")  # exit code 1


if __name__ == "__main__":
    main()
