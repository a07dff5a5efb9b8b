"""The SQL of users of arms: their numbers in the last day, the last two days and so on, from members (C36).

A user of an arm is in each of these windows from the one on that holds the newest day of the user. So one pass over the
members of the longest window counts all of them.
"""

from typing import Final

LEAST_SHARE: Final = 0.99  # of the events of an arm; else its users were not counted in all hours
HIDDEN: Final = 2**64 - 1  # stands in check sums for a number that is not shown
_OF_DAYS: Final = "hour >= toDateTime(%(first)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC') AND events > 0"
_BACK: Final = "toUInt16(dateDiff('day', hour, toDateTime(%(start)s, 'UTC')))"  # 0: the last day
_WINDOWS: Final = "range(1, toUInt32(%(days)s) + 1)"  # days of each
_NAMES: Final = "toString(experiment) AS name, toString(arm) AS of_arm"
_OTHER: Final = "if(length(places) = 1, toUInt16(%(days)s), places[if(place.1 = places[1].1, 2, 1)].2)"

_USERS: Final = f"""
SELECT name, place.1 AS of_arm,
    sumForEach(arrayMap(n -> toUInt64(place.2 < n), {_WINDOWS})) AS users,
    sumForEach(arrayMap(n -> toUInt64(greatest(place.2, {_OTHER}) < n), {_WINDOWS})) AS several
FROM
(
    SELECT name, arraySort(each -> each.2, groupArray((of_arm, newest))) AS places
    FROM
    (
        SELECT {_NAMES}, user_key, user_hash, min({_BACK}) AS newest
        FROM arm_members FINAL
        WHERE {_OF_DAYS}
        GROUP BY name, of_arm, user_key, user_hash
    )
    GROUP BY name, user_key, user_hash
)
ARRAY JOIN places AS place
GROUP BY name, of_arm
"""
# Events of members and of cells by arm and window, and the least and the greatest key of the hash.
_EVENTS: Final = f"""
SELECT name, of_arm,
    sumForEach(arrayMap(n -> if(back < n, members, 0), {_WINDOWS})) AS of_members,
    sumForEach(arrayMap(n -> if(back < n, cells, 0), {_WINDOWS})) AS of_cells,
    minForEach(arrayMap(n -> if(back < n, low, toUInt32(4294967295)), {_WINDOWS})) AS lowest,
    maxForEach(arrayMap(n -> if(back < n, high, toUInt32(0)), {_WINDOWS})) AS highest
FROM
(
    SELECT {_NAMES}, {_BACK} AS back, sum(events) AS members, toUInt64(0) AS cells, min(user_key) AS low,
        max(user_key) AS high
    FROM arm_members FINAL
    WHERE {_OF_DAYS}
    GROUP BY name, of_arm, back
    UNION ALL
    SELECT {_NAMES}, {_BACK} AS back, toUInt64(0), sum(events), toUInt32(4294967295), toUInt32(0)
    FROM experiment_cells FINAL
    WHERE {_OF_DAYS}
    GROUP BY name, of_arm, back
)
GROUP BY name, of_arm
"""
# Of a window in which the key of the hash changed, users are not known: they may count once for each.
_NUMBERS: Final = f"""
SELECT name, of_arm, toUInt16(n) AS window,
    if(users[n] < %(least)s, NULL, users[n]) AS shown,
    if(several[n] > 0 AND several[n] < %(least)s, NULL, several[n]) AS shown_several,
    of_cells[n] AS counted
FROM
(
    SELECT name, of_arm, users, several, of_members, of_cells,
        minForEach(lowest) OVER (PARTITION BY name) AS least_key,
        maxForEach(highest) OVER (PARTITION BY name) AS greatest_key
    FROM ({_USERS}) AS u
    INNER JOIN ({_EVENTS}) AS e USING (name, of_arm)
)
ARRAY JOIN {_WINDOWS} AS n
WHERE users[n] > 0 AND of_members[n] >= {LEAST_SHARE} * of_cells[n] AND least_key[n] = greatest_key[n]
"""


def _sums(experiment: str, arm: str, days: str, users: str, several: str, events: str) -> str:
    numbers = f"{experiment}, {arm}, {days}, ifNull({users}, {HIDDEN}), ifNull({several}, {HIDDEN}), {events}"
    return f"SELECT count(), sum(cityHash64({numbers}))"


INSERT: Final = f"""
INSERT INTO arm_day_users (experiment, day, arm, days, users, in_several_arms, events, seal)
SELECT name, toDateTime(%(start)s, 'UTC'), of_arm, window, shown, shown_several, counted, %(number)s FROM ({_NUMBERS})
"""
INSERTED: Final = f"""
{_sums("toString(experiment)", "toString(arm)", "days", "users", "in_several_arms", "events")}
FROM arm_day_users
WHERE day = toDateTime(%(start)s, 'UTC') AND seal = %(number)s
"""
EXPECTED: Final = f"{_sums('name', 'of_arm', 'window', 'shown', 'shown_several', 'counted')} FROM ({_NUMBERS})"
MEMBERS: Final = f"""
SELECT sum(cityHash64(toString(experiment), toString(arm), hour, user_key, user_hash) * events)
FROM arm_members FINAL
WHERE {_OF_DAYS}
"""
