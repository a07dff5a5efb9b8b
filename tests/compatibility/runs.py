"""What was run by hand, and is not part of every run of the suite: the page shows it as such."""

from dataclasses import dataclass

ALL = "`python -m tests.compatibility --kafka {version}`, once"
SHORT = "`PINTALLY_TEST_BROKERS={version} pytest tests/compatibility/test_lowest_kafka.py`, once"
COUNTS = "counts exactly"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Run:
    """One version of something, and what came out."""

    version: str
    result: str
    how: str


def _kafka(version: str, how: str, result: str = COUNTS) -> Run:
    return Run(version, result, how.format(version=version))


KAFKA = (
    _kafka("2.8.2", ALL, "is refused"),
    _kafka("3.5.2", ALL, "is refused"),
    _kafka("3.6.2", ALL),
    _kafka("3.7.2", ALL),
    _kafka("3.8.1", SHORT),
    _kafka("3.9.2", SHORT),
    _kafka("4.0.2", SHORT),
    _kafka("4.2.2", SHORT),
    _kafka("4.3.1", SHORT),
    _kafka("4.4.0", ALL),
)
CLICKHOUSE = (
    Run("24.8.4", "is refused", "`pintally migrate` on a clickhouse-server, once: its tables cannot be made there"),
    Run("25.8.2", COUNTS, "`python -m tests.compatibility --clickhouse 25.8`, once"),
    Run("26.7.2", COUNTS, "the whole suite, in each run of it"),
)
PYTHON = (
    Run("3.11.7", COUNTS, "the whole suite, in each run of it"),
    Run("3.12.1", COUNTS, "unit and property tests, and a count with `verify` on the real engines, once"),
    Run("3.13.0", COUNTS, "the same"),
    Run("3.14.3", COUNTS, "the same"),
)
