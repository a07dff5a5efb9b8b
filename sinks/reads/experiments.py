"""What the arms of an experiment measured: rows of the view `experiment_results`."""

from dataclasses import dataclass
from typing import Final

from pintally.sinks.clickhouse.connection import Connection

# What is before 1970 or after 2106 is that moment: a number alone would be no time there, and of four digits a year.
HOURS: Final = "since = toDateTime(%(since)s, 'UTC'), until = toDateTime(%(until)s, 'UTC')"
RESULTS: Final = f"""
SELECT arm, control, metric, value, difference, low, high, lift, lift_low, lift_high, p,
    users, in_several_arms, sample_ratio_p, sample_ratio_alarm
FROM experiment_results(experiment = %(experiment)s, {HOURS})
ORDER BY metric, arm != control, arm
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one arm, and how it differs from the control arm; NaN where that is itself."""

    arm: str
    control: str
    metric: str
    value: float
    difference: float
    low: float  # of the 95% interval of `difference`
    high: float
    lift: float  # `difference` as a share of the control arm's value
    lift_low: float  # of the 95% interval of `lift`
    lift_high: float
    p: float
    users: int | None  # of a sealed window of whole days; None: unknown, or fewer than are shown
    in_several_arms: int | None
    sample_ratio_p: float
    sample_ratio_alarm: bool


def read_results(connection: Connection, experiment: str, since: int, until: int) -> list[Measured]:
    """Returns the results of the hours that start in [since, until), in seconds since 1970; none without events.

    Raises SinkError, SinkUnavailable.
    """
    found = connection.rows(RESULTS, experiment=experiment, since=since, until=until)
    return [Measured(*row) for row in found]
