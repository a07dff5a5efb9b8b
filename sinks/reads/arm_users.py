"""How many users the arms of an experiment have, where that is known: rows of the view `experiment_users` (C36).

Who may not read members is shown those of sealed whole days, which are in the results.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Final, NamedTuple

from pintally.schemas.actions import Action
from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.errors import RIGHTS
from pintally.sinks.reads.experiments import HOURS, Measured

USERS: Final = f"""
SELECT arm, users, in_several_arms, events, keys
FROM experiment_users(experiment = %(experiment)s, {HOURS})
"""
ALARM: Final = 0.001
LEAST_SHARE: Final = 0.99  # of the events of an arm; workers count on between two queries, and a person may be erased
NOT_COUNTED: Final = (
    "users of arms were not counted in all of these hours (PINTALLY_COUNT_USERS), or are deleted with age "
    "(PINTALLY_MEMBER_DAYS)"
)
KEYS: Final = "the key of the hash of users changed in these hours, so a user may be counted twice"
NO_RIGHT: Final = (
    "users of any hours are shown to who may read the table arm_members, to others those of groups that are not small, "
    "of whole days (UTC) that are sealed: --since and --until at 00:00, as many days as PINTALLY_MEMBER_DAYS has whole"
)


class Row(NamedTuple):
    """A row of the view."""

    arm: str
    users: int
    in_several_arms: int
    events: int
    keys: Sequence[int]


@dataclass(frozen=True, slots=True)
class ArmUsers:
    """The users of an arm, each once. A number above 0 that is too small to be shown is None."""

    arm: str
    users: int | None
    in_several_arms: int | None
    sample_ratio_p: float | None = None  # of equal shares with the control arm; None of that itself, or if not shown

    @property
    def sample_ratio_alarm(self) -> bool:
        """Whether equal shares are unlikely."""
        return self.sample_ratio_p is not None and self.sample_ratio_p < ALARM


@dataclass(frozen=True, slots=True)
class Users:
    """The users of all arms, the control arm first; or why they are unknown."""

    arms: tuple[ArmUsers, ...] = ()
    unknown: str = ""


def read_users(
    connection: Connection, experiment: str, since: int, until: int, found: Sequence[Measured], least: int
) -> Users:
    """The users of the arms of `found`, which are the results of the same hours, in seconds since 1970.

    Groups of fewer than `least` are not shown. Raises SinkError, SinkUnavailable.
    """
    try:
        rows = connection.rows(USERS, experiment=experiment, since=since, until=until)
    except SinkError as error:
        if getattr(error.__cause__, "code", None) not in RIGHTS:
            raise
        return users_of_days(found)
    return users_of([Row(*row) for row in rows], found, least)


def users_of(rows: Sequence[Row], found: Sequence[Measured], least: int) -> Users:
    """The users of arms: known if the members of each arm have its events, and were hashed with one key.

    Then users were counted in each hour, and none of them was deleted with age.
    """
    events, known = _events(found), {row.arm: row for row in rows}
    of_members = {arm: known[arm].events if arm in known else 0 for arm in events}
    if not events or any(of_members[arm] < LEAST_SHARE * n for arm, n in events.items()):
        return Users(unknown=NOT_COUNTED)
    if len({key for row in rows for key in row.keys}) > 1:
        return Users(unknown=KEYS)
    control = known.get(found[0].control)
    others = sorted(arm for arm in known if arm != found[0].control)
    in_order = [*([control] if control else []), *(known[arm] for arm in others)]
    return Users(tuple(_shown(row, control, least) for row in in_order))


def users_of_days(found: Sequence[Measured]) -> Users:
    """The users that the results say, if they say those of each arm."""
    arms = {each.arm: each for each in found}
    if not arms or any(each.users is None for each in arms.values()):
        return Users(unknown=NO_RIGHT)
    shown = [
        ArmUsers(name, each.users, each.in_several_arms, None if name == each.control else each.sample_ratio_p)
        for name, each in arms.items()
    ]
    return Users(tuple(shown))


def _events(found: Iterable[Measured]) -> Counter[str]:
    """The events of each arm that has any, of all actions."""
    columns, events = {action.column for action in Action}, Counter[str]()
    for each in found:
        if each.metric in columns:
            events[each.arm] += round(each.value)
    return +events


def _shown(row: Row, control: Row | None, least: int) -> ArmUsers:
    """What may be shown of an arm, and how likely such a difference to the control arm is if shares are equal.

    Users are assigned one by one: the difference of two equal arms of n users together has the variance n.
    """
    p = None
    if control and control is not row and min(row.users, control.users) >= least:
        p = erfc(abs(row.users - control.users) / sqrt(2 * (row.users + control.users)))
    users, several = (n if not n or n >= least else None for n in (row.users, row.in_several_arms))
    return ArmUsers(row.arm, users, several, p)
