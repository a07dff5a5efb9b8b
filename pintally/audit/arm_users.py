"""Numbers of users of arms in sealed days against the members that they were made of, both ways, in ClickHouse (C36).

Only windows whose members are all kept, and none of whose hours is open or was sealed again since. A difference counts
only if it is still there after everything was read again.
"""

from collections.abc import Iterator

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.findings import Finding, Kind
from pintally.audit.kept import DAY, read_kept
from pintally.audit.looks import lasting
from pintally.audit.words import utc

DAYS = """
SELECT toUInt32(day) AS start, seal, rows_seal, least, days FROM arm_day_seals FINAL
WHERE NOT is_open AND toUInt32(day) >= {first:UInt32} ORDER BY start"""
HOURS = """
SELECT max(seal) AS newest, countIf(is_open) AS open FROM sealed FINAL
WHERE resolution = 'hour' AND toUInt32(window_start) >= {since:UInt32} AND toUInt32(window_start) < {until:UInt32}"""
_WITHIN = "toUInt32(hour) >= {since:UInt32} AND toUInt32(hour) < {until:UInt32} AND events > 0"
_BACK = "intDiv({until:UInt32} - 1 - toUInt32(hour), 86400)"
# Of each window its users, by the members within it; not of one whose members have not the events of its cells.
EXPECTED = f"""
SELECT toString(experiment) AS of, in_arm, n AS window, toInt64(uniqExact(acting)) AS users,
    toInt64(uniqExactIf(acting, length(names) > 1)) AS several
FROM
(
    SELECT experiment, (user_key, user_hash) AS acting, n, groupUniqArray(toString(arm)) AS names
    FROM arm_members FINAL ARRAY JOIN range(1, {{days:UInt32}} + 1) AS n
    WHERE {_WITHIN} AND {_BACK} < n
    GROUP BY experiment, acting, n
)
ARRAY JOIN names AS in_arm
GROUP BY of, in_arm, window"""
COUNTED = f"""
SELECT toString(experiment) AS of, toString(arm) AS in_arm, n AS window, toInt64(sum(cells)) AS counted,
    sum(members) >= 0.99 * sum(cells) AS is_whole
FROM
(
    SELECT experiment, arm, {_BACK} AS back, events AS cells, toUInt64(0) AS members
    FROM experiment_cells FINAL WHERE {_WITHIN}
    UNION ALL
    SELECT experiment, arm, {_BACK} AS back, toUInt64(0), events FROM arm_members FINAL WHERE {_WITHIN}
)
ARRAY JOIN range(1, {{days:UInt32}} + 1) AS n
WHERE back < n
GROUP BY of, in_arm, window"""
KEYS = f"""
SELECT toString(experiment) AS of, n AS window, uniqExact(user_key) AS keys
FROM arm_members FINAL ARRAY JOIN range(1, {{days:UInt32}} + 1) AS n
WHERE {_WITHIN} AND {_BACK} < n
GROUP BY of, window"""
DIFFERENCES = f"""
SELECT of, in_arm, window, sumIf(number, NOT stated) AS expected, sumIf(number, stated) AS found
FROM
(
    SELECT of, in_arm, toUInt32(window) AS window, users AS number,
        [if(users < {{least:UInt64}}, -1, users), if(several BETWEEN 1 AND {{least:UInt64}} - 1, -1, several), counted]
            AS numbers, false AS stated
    FROM ({EXPECTED}) AS e
    INNER JOIN ({COUNTED}) AS c USING (of, in_arm, window)
    INNER JOIN ({KEYS}) AS k USING (of, window)
    WHERE is_whole AND keys = 1
    UNION ALL
    SELECT toString(experiment), toString(arm), toUInt32(days), ifNull(toInt64(users), -1) AS number,
        [number, ifNull(toInt64(in_several_arms), -1), toInt64(events)], true
    FROM arm_day_users
    WHERE toUInt32(day) = {{start:UInt32}} AND seal = {{seal:UInt64}} AND days <= {{days:UInt32}}
)
GROUP BY of, in_arm, window
HAVING groupArrayIf(numbers, stated) != groupArrayIf(numbers, NOT stated)
ORDER BY of, in_arm, window"""


def check_arm_users(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every sealed window that begins at `since` (seconds) or later, and whose members are still kept."""
    return lasting(lambda: _look(clickhouse, since))


def _look(clickhouse: ClickHouse, since: int) -> Iterator[Finding]:
    kept = read_kept(clickhouse, "arm_members").since("arm_members")
    first = -(-max(since, kept) // DAY) * DAY
    for day in clickhouse.rows(DAYS, first=first):
        days = min(day["days"], (day["start"] - first) // DAY + 1)
        within = {"since": day["start"] - (days - 1) * DAY, "until": day["start"] + DAY}
        [hours] = clickhouse.rows(HOURS, **within)
        if hours["open"] or hours["newest"] > day["seal"]:
            continue
        given = {"start": day["start"], "days": days, "least": day["least"], "seal": day["rows_seal"]}
        for row in clickhouse.rows(DIFFERENCES, **within, **given):
            yield Finding(
                Kind.ROLLUP_DIFFERS, "arm_day_users", row["found"], row["expected"], f"users of {row['window']} days",
                experiment=row["of"], arm=row["in_arm"], hour=utc(day["start"]),
            )  # fmt: skip
