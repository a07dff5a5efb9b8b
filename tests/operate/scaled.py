"""The real rules with all times divided by one factor, so that a day with its faults passes in minutes.

Divided are: `for`, windows in brackets, offsets, and numbers of seconds that a rule compares with (all numbers from 60
on). Not divided are the rules of sealing: hours and cuts come when the clock says so. The 5 s of the objective become
10 s: latencies do not shrink with the day, and grow where all share few cores.
"""

import re
from typing import Any

from tests.support.alerts import read_groups

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])\b")
SECONDS = re.compile(r"(?<![\w.\[{\"])\d+(?![\w.\]\"])")
SMALLEST = 60  # a smaller number is not one of seconds
KEPT = ("pintally-sealing",)
OBJECTIVE, WITHIN = 'le="5.0"', 'le="10.0"'  # buckets of the histogram of freshness


def scaled_rules(factor: float, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns the groups of rules as a file of Prometheus has them, without some of the alerts."""
    groups = [scaled_group(group, factor) for group in read_groups()]
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in without]
    return {"groups": groups}


def scaled_group(group: dict[str, Any], factor: float) -> dict[str, Any]:
    """Returns one group with its times divided by the factor."""
    if group["name"] in KEPT:
        return group
    return {**group, "rules": [scaled_rule(rule, factor) for rule in group["rules"]]}


def scaled_rule(rule: dict[str, Any], factor: float) -> dict[str, Any]:
    """Returns one rule with its times divided by the factor."""
    waits = {"for": scaled_duration(rule["for"], factor)} if "for" in rule else {}
    return {**rule, **waits, "expr": scaled_expression(rule["expr"], factor)}


def scaled_expression(expression: str, factor: float) -> str:
    """Returns an expression with its windows, offsets and numbers of seconds divided by the factor."""

    def seconds(found: re.Match[str]) -> str:
        number = int(found[0])
        return f"{number / factor:g}" if number >= SMALLEST else found[0]

    divided = SECONDS.sub(seconds, expression.replace(OBJECTIVE, WITHIN))
    return DURATION.sub(lambda found: scaled_duration(found[0], factor), divided)


def scaled_duration(duration: str, factor: float) -> str:
    """Returns a duration of one unit, as Prometheus writes it, divided by the factor; in whole milliseconds."""
    number, unit = int(duration[:-1]), duration[-1]
    return f"{round(number * UNIT_MS[unit] / factor)}ms"
