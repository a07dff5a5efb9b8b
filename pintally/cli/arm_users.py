"""Users of the arms of an experiment, as `pintally experiment` shows them (C36)."""

from dataclasses import asdict
from typing import Any

from pintally.sinks.reads.arm_users import Users


def told(users: Users) -> dict[str, Any]:
    """The users of each arm, or why they are unknown, as JSON."""
    arms = [asdict(each) | {"sample_ratio_alarm": each.sample_ratio_alarm} for each in users.arms]
    return {"users": arms or None, "users_unknown": users.unknown or None}


def show_users(answer: dict[str, Any]) -> None:
    """Print how many users each arm has, or why that is unknown."""
    from rich.markup import escape

    from pintally.cli.console import data, table
    from pintally.cli.letters import printable

    data.print()
    if not answer["users"]:
        data.print(escape(f"Users: unknown, because {answer['users_unknown']}."))
        return
    made = table("users", "arm", "users", "in several arms")
    for arm in answer["users"]:
        made.add_row(escape(printable(arm["arm"])), _number(arm["users"]), _number(arm["in_several_arms"]))
    data.print(made)


def _number(users: int | None) -> str:
    return "too few to show" if users is None else f"{users:,}"
