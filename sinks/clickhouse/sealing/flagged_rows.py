"""The SQL of users that are flagged in an hour: those with more events than a limit, over all pins (C37)."""

from typing import Final

_OF_HOUR: Final = "hour = toDateTime(%(start)s, 'UTC') AND events > 0"
_WITH_SEAL: Final = "hour = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
_HASH: Final = "cityHash64(hour, user_key, user_hash, events, pins)"
# Of members: whether their user is flagged by the sealing with that number.
IS_FLAGGED: Final = f"(user_key, user_hash) IN (SELECT user_key, user_hash FROM flagged_users WHERE {_WITH_SEAL})"
# Without FINAL a user has as many events, or more. Few users are left, and distinct pins are counted of these alone.
_MAY_BE: Final = f"""
SELECT user_key, user_hash FROM pin_members
WHERE {_OF_HOUR}
GROUP BY user_key, user_hash
HAVING sum(events) > %(above)s AND %(above)s > 0
"""
_FLAGGED: Final = f"""
SELECT hour, user_key, user_hash, sum(pin_members.events) AS events, uniqExact(pin_id) AS pins
FROM pin_members FINAL
WHERE {_OF_HOUR.replace("events", "pin_members.events")} AND (user_key, user_hash) IN ({_MAY_BE})
GROUP BY hour, user_key, user_hash
HAVING events > %(above)s
"""
INSERT: Final = f"""
INSERT INTO flagged_users (hour, user_key, user_hash, events, pins, seal)
SELECT hour, user_key, user_hash, events, pins, %(number)s FROM ({_FLAGGED})
"""
EXPECTED: Final = f"SELECT sum({_HASH}) FROM ({_FLAGGED})"
INSERTED: Final = f"SELECT sum({_HASH}) FROM flagged_users WHERE {_WITH_SEAL}"
INSERTED_OF: Final = f"""
SELECT sum({_HASH}) FROM flagged_users
WHERE hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC') AND seal IN %(seals)s
"""
NUMBERS: Final = f"SELECT count(), sum(events) FROM flagged_users WHERE {_WITH_SEAL}"
