"""The SQL of users: sets of an hour from members, and the numbers of users of an hour or a day from sets (C23).

`flagged_rows` has the SQL of users that are flagged in an hour (C37).
"""

from typing import Final

from pintally.sinks.clickhouse.per_action import OF_CELL, each
from pintally.sinks.clickhouse.sealing.flagged_rows import IS_FLAGGED

SET: Final = "uniqCombined64"
HIDDEN: Final = 2**64 - 1  # stands in check sums for a number that is not shown
SIZE: Final = 14  # of a set: 2^14 registers
_HASH: Final = "cityHash64(pin_id, surface, action, user_key, user_hash)"
_OF_HOUR: Final = "hour = toDateTime(%(start)s, 'UTC') AND events > 0"
_OF_SEALS: Final = "window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC')"
_STATES: Final = each("{column}_state")
_UNFLAGGED: Final = each("unflagged_{column}")

INSERT_SETS: Final = f"""
INSERT INTO pin_user_states (window_start, pin_id, surface, {_STATES}, {_UNFLAGGED}, check_sum, seal)
SELECT hour, pin_id, surface, {each(f"{SET}StateIf({SIZE})(user_hash, action = {{number}})")},
    {each(f"sumIf(trusted, action = {{number}} AND NOT {IS_FLAGGED})")}, sum({_HASH} * {OF_CELL}), %(number)s
FROM pin_members FINAL
WHERE {_OF_HOUR}
GROUP BY hour, pin_id, surface
"""
SETS: Final = """
SELECT count(), sum(check_sum) FROM pin_user_states
WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s
"""
SETS_OF: Final = f"""
SELECT count(), sum(check_sum) FROM pin_user_states
WHERE {_OF_SEALS} AND seal IN %(seals)s
"""
HOURS: Final = f"""
SELECT sum(sets), sum(check_sum), sum(flagged_sum) FROM user_seals FINAL
WHERE resolution = 'hour' AND {_OF_SEALS} AND rows_seal IN %(seals)s
"""
MEMBERS: Final = f"SELECT uniqExact(pin_id, surface), sum({_HASH} * {OF_CELL}) FROM pin_members FINAL WHERE {_OF_HOUR}"
KEYS: Final = """
SELECT uniqExact(user_key) FROM pin_members {final}
WHERE hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC') AND events > 0
"""

COUNTED: Final = f"""
SELECT pin_id, toString(shown) AS of_surface,
    {SET}MergeArray({SIZE})([{_STATES}]) AS users,
    {each(f"{SET}Merge({SIZE})({{column}}_state) AS n{{number}}")},
    {each("sum(unflagged_{column}) AS t{number}")}
FROM pin_user_states
ARRAY JOIN [toString(surface), ''] AS shown
WHERE {_OF_SEALS} AND seal IN %(seals)s
GROUP BY pin_id, shown
HAVING users >= %(least)s
"""


def insert_users(table: str) -> str:
    """The numbers of users that readers may see, from the sets of some seals."""
    return f"""
INSERT INTO {table} (window_start, pin_id, surface, users, {each("{column}_users")}, {_UNFLAGGED}, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, of_surface, users,
    {each("if(n{number} > 0 AND n{number} < %(least)s, NULL, n{number})")}, {each("t{number}")}, %(number)s
FROM ({COUNTED})
"""


def users_sums(table: str) -> str:
    """Sums of the numbers of a seal."""
    shown = each(f"ifNull({{column}}_users, {HIDDEN})")
    return f"""
SELECT count(), sum(cityHash64(pin_id, toString(surface), users, {shown}, {_UNFLAGGED}))
FROM {table}
WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s
"""


_SHOWN: Final = each(f"if(n{{number}} > 0 AND n{{number}} < %(least)s, {HIDDEN}, n{{number}})")
_NUMBERS: Final = f"pin_id, of_surface, users, {_SHOWN}, {each('t{number}')}"
COUNTED_SUMS: Final = f"SELECT count(), sum(cityHash64({_NUMBERS})) FROM ({COUNTED})"
TABLES: Final = {"hour": "pin_hour_users", "day": "pin_day_users"}
