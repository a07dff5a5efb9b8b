"""What the log says of sealing: which hours are sealed, and which cuts are published."""

import logging
from datetime import UTC, datetime

from pintally.sinks.clickhouse.sealing.cuts import CutsSealed
from pintally.sinks.clickhouse.sealing.seal import SealResult

log = logging.getLogger(__name__)


def say_sealed(result: SealResult) -> None:
    """One line if hours were sealed; one more if some kept changing."""
    hours, corrected = len(result.hours), len(result.corrected)
    if hours:
        log.info(
            "sealed %d hours, up to %s; %d of them with other counts than before",
            hours, utc(result.sealed_until), corrected,
            extra={"hours": hours, "corrected": corrected},
        )  # fmt: skip
    if result.unsettled:
        log.info("%d hours are not sealed yet: their minutes kept changing", len(result.unsettled))


def say_published(result: CutsSealed) -> None:
    """One line if cuts were published or windows corrected; one more if some kept changing."""
    cuts, corrected = len(result.cuts), len(result.corrected)
    if cuts or corrected:
        log.info(
            "published %d cuts, the newest of %s; %d windows with other sums than before",
            cuts, utc(result.newest), corrected,
            extra={"cuts": cuts, "corrected": corrected},
        )  # fmt: skip
    if result.unsettled:
        log.info("%d windows of features are not sealed yet: their cells kept changing", len(result.unsettled))


def utc(seconds: int) -> str:
    """As `2026-01-31 12:00`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
