"""`pintally experiment`: how the arms of an experiment differ, and whether that is chance."""

from dataclasses import asdict
from math import ceil, isnan
from typing import Annotated, Any

import typer

HOUR, DAY = 3600, 86_400
HEADINGS = ("arm", "value", "lift", "95% interval", "p")


def experiment(
    name: Annotated[str, typer.Argument(help="The experiment, as events name it.")],
    since: Annotated[str | None, typer.Option(help="First hour, UTC; seven days ago if left out.")] = None,
    until: Annotated[str | None, typer.Option(help="End of the last hour, UTC; now if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show how the arms of an experiment differ from its control arm, and whether that is chance.

    The experiment must be one that PINTALLY_EXPERIMENTS names. The lift is the difference as a share of the control
    arm. Intervals and p are made from 256 buckets of users, because the events of one user are not independent.
    Where several servers share the pins, shard 0 has the arms of all.

    Example: pintally experiment checkout --since 2026-11-21T00:00
    """
    from pintally.cli.console import print_json
    from pintally.cli.moments import moment_of
    from pintally.sinks.reads.shards import reading
    from pintally.streams.settings import load_settings

    start = ceil(moment_of(since, "--since").timestamp()) if since else None
    end = ceil(moment_of(until, "--until").timestamp()) if until else None
    settings = load_settings(over_shards=True)
    with reading(settings.clickhouse.shards, only=0) as (connection,):
        answer = read(connection, name, start, end, settings.worker.least_users)
    if as_json:
        print_json(answer)
    else:
        show(answer)


def read(connection: Any, name: str, since: Any, until: Any, least_users: int) -> dict[str, Any]:
    """Returns the results by metric, and the users of arms. The control arm is first. What is not known is None."""
    from datetime import UTC, datetime

    from pintally.cli.arm_users import told
    from pintally.sinks.reads.arm_users import read_users
    from pintally.sinks.reads.experiments import read_results

    (this_hour,) = connection.one("SELECT toUnixTimestamp(toStartOfHour(now('UTC')))")
    end = this_hour + HOUR if until is None else until
    start = end - 7 * DAY if since is None else since
    metrics: dict[str, list[dict[str, Any]]] = {}
    found = read_results(connection, name, start, end)
    users = read_users(connection, name, start, end, found, least_users)
    for each in found:
        numbers = {key: None if isinstance(n, float) and isnan(n) else n for key, n in asdict(each).items()}
        metrics.setdefault(each.metric, []).append(numbers)
    moments = [datetime.fromtimestamp(at, UTC).isoformat() for at in (start, end)]
    return {"experiment": name, "since": moments[0], "until": moments[1], "metrics": metrics} | told(users)


def show(answer: dict[str, Any]) -> None:
    """Print a table for each metric, and one of users."""
    from rich.markup import escape

    from pintally.cli.arm_users import show_users
    from pintally.cli.console import data, progress, table
    from pintally.cli.letters import printable

    name = printable(answer["experiment"])
    span = f"from {answer['since'][:16]} to {answer['until'][:16]} UTC"
    if not answer["metrics"]:
        progress.print(escape(f"{name} has no counted events {span}. Does PINTALLY_EXPERIMENTS name it?"))
        return
    data.print(escape(f"{name}, {span}"), style="bold", highlight=False)
    for metric, arms in answer["metrics"].items():
        made = table(metric, *HEADINGS)
        for arm in arms:
            made.add_row(escape(printable(arm["arm"])), *_cells(arm))
        data.print()
        data.print(made)
    show_users(answer)
    control = next(iter(answer["metrics"].values()))[0]["control"]
    for arm in answer["users"] or next(iter(answer["metrics"].values())):
        if arm["sample_ratio_alarm"]:
            warning = f"{printable(arm['arm'])} and {printable(control)} may not have equal shares of users "
            data.print(escape(f"\n{warning}(p {arm['sample_ratio_p']:.2g}): compare their rates only."))


def _cells(arm: dict[str, Any]) -> list[str]:
    value = _value(arm["value"])
    if arm["arm"] == arm["control"]:
        return [value, "control", "", ""]
    if arm["lift"] is None or not arm["difference"]:
        return [value, "" if arm["difference"] is None else f"{arm['difference']:+.4g}", "", _p(arm["p"])]
    span = "" if arm["lift_low"] is None else f"{arm['lift_low']:+.2%} to {arm['lift_high']:+.2%}"
    return [value, f"{arm['lift']:+.2%}", span, _p(arm["p"])]


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"
