"""Differences that last: tables change while they are read, so a difference counts if it is found again and again."""

from collections.abc import Callable, Iterable
from time import sleep

from pintally.audit.findings import Finding

LOOKS = 3
PAUSE_SECONDS = 2.0


def lasting(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Returns what each of three looks finds, some seconds apart. Each look reads everything again."""
    found = list(look())
    for _ in range(LOOKS - 1):
        if not found:
            break
        sleep(PAUSE_SECONDS)
        again = set(look())
        found = [finding for finding in found if finding in again]
    return found
