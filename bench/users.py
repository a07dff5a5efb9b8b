"""How soon users of a hot pin and of the arms of an experiment are told, and what it costs ClickHouse to seal them.

    python -m bench.users                # 100,000 users of a pin an hour, 300,000 events of an experiment an hour
    python -m bench.users --quick        # a tenth of it

Members are generated in ClickHouse, in the tables that `pintally migrate` makes: one pin that each of so many users
closes up each hour of yesterday, other pins of few users, and an experiment of two arms with the cells of its members,
over as many whole days as readers are told by default. Then the product's own sealing runs, and the views are asked as
readers ask them. What they say must be what was generated.
"""

import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench.asking import Limits, Reader, keep, timed
from bench.engines import open_engines
from bench.figures import RESULTS, Kept, kept
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.sinks.reads.experiments import read_results

HOUR, DAY = 3600, 86_400
DAYS: Final = 6  # of the experiment
HOT, USERS_AN_HOUR, OTHERS_AN_HOUR = 7, 100_000, 400_000
ARM_EVENTS_AN_HOUR: Final = 300_000
USERS_OF_ARMS: Final = 20  # times as many as act in an hour
QUICK: Final = 10  # a part of it
TIMES: Final = 20
LEAST: Final = 20
PIN_MS, ARMS_MS = 50, 300
TIMEOUT_SECONDS: Final = 900

MINUTES: Final = """
INSERT INTO pin_minutes (source, slice_block, arrived_at, action, minute, pin_id, surface, platform, events, version)
SELECT 1, 1, minute, 3, minute, 1, 'unknown', 'unknown', 1, 1
FROM (SELECT toDateTime({first} + number * 3600, 'UTC') AS minute FROM numbers({hours}))
"""
# Each hour has half of the users of the one before.
OF_PINS: Final = """
INSERT INTO pin_members
    (source, slice_block, arrived_at, action, hour, pin_id, surface, user_key, user_hash, events, trusted, version)
SELECT 1, {hour}, {hour}, 3, {hour}, if(number < {hot}, {pin}, sipHash64(number % {pins})), 'home', 1,
    sipHash64(number + {turn} * intDiv({hot}, 2)), 1, 1, 1
FROM numbers({hot} + {others})
"""
OF_ARMS: Final = """
INSERT INTO arm_members
    (source, slice_block, arrived_at, action, hour, experiment, arm, user_key, user_hash, events, version)
SELECT 1, {hour}, {hour}, 3, {hour}, 'checkout', if(user % 2, 'treatment', 'control'), 1, sipHash64(user), count(), 1
FROM (SELECT sipHash64({hour}, number) % {users} AS user FROM numbers({events}))
GROUP BY user
"""
CELLS_OF_ARMS: Final = """
INSERT INTO experiment_cells
    (source, slice_block, arrived_at, action, hour, experiment, arm, bucket, events, trusted, version)
SELECT 1, 1, hour, action, hour, experiment, arm, user_hash % 256 AS of, sum(events) AS n, n, 1
FROM arm_members
GROUP BY action, hour, experiment, arm, of
"""
ONE_PIN: Final = (
    "SELECT users, closeups_users, unflagged_closeups FROM pin_users_1d WHERE pin_id = {} AND window_start = {}"
)
TRUTH: Final = "SELECT toString(arm), uniqExact(user_hash) FROM arm_members GROUP BY arm"


def users(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the users.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for users.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Fill, seal, ask, print."""
    part = QUICK if quick else 1
    parameters = {
        "users of the pin an hour": USERS_AN_HOUR // part,
        "events of arms an hour": ARM_EVENTS_AN_HOUR // part,
    }
    with open_engines() as engines:
        settings = engines.settings.changed(clickhouse_database=f"bench_{uuid.uuid4().hex[:8]}")
        migrate(settings.clickhouse)
        with Connection(settings.clickhouse, TIMEOUT_SECONDS) as connection:
            try:
                with kept("users", settings, into, as_json, parameters) as found:
                    measure(Reader(connection, engines.clickhouse_pid), settings.clickhouse, part, found)
            finally:
                connection.execute(f"DROP DATABASE {settings.clickhouse.database} SYNC")


def measure(reader: Reader, address: ClickHouseAddress, part: int, found: Kept) -> None:
    """All figures."""
    today = int(time.time()) // DAY * DAY
    fill(reader.connection, today, part)
    seal(address, today, timeout_seconds=TIMEOUT_SECONDS)
    members = 24 * (USERS_AN_HOUR + OTHERS_AN_HOUR) // part
    add_sealing(reader, found, "users of hours and their day, a member", members, partial(seal_users, address, LEAST))
    (rows,) = reader.connection.one("SELECT count() FROM arm_members")
    add_sealing(reader, found, f"users of arms of {DAYS} days, a member", rows, partial(seal_arm_users, address, LEAST))
    ask_pin = partial(reader.connection.rows, ONE_PIN.format(HOT, today - DAY))
    keep(found, "users of the hottest pin of a day", timed(reader, [ask_pin] * TIMES), Limits(p95_ms=PIN_MS), True)
    ask_arms = partial(read_results, reader.connection, "checkout", today - DAYS * DAY, today)
    name = f"an experiment of {DAYS} days with users of arms"
    keep(found, name, timed(reader, [ask_arms] * TIMES), Limits(p95_ms=ARMS_MS), True)
    check(reader.connection, ask_pin(), ask_arms(), USERS_AN_HOUR // part)


def fill(connection: Connection, today: int, part: int) -> None:
    """Hour by hour as they come."""
    first = today - DAYS * DAY
    connection.execute(MINUTES.format(first=first, hours=DAYS * 24))
    size = {
        "hot": USERS_AN_HOUR // part,
        "others": OTHERS_AN_HOUR // part,
        "pins": OTHERS_AN_HOUR // part // 2,
        "pin": HOT,
    }
    events = ARM_EVENTS_AN_HOUR // part
    for turn, hour in enumerate(range(first, today, HOUR)):
        connection.execute(OF_ARMS.format(hour=hour, events=events, users=USERS_OF_ARMS * events))
        if hour >= today - DAY:
            connection.execute(OF_PINS.format(hour=hour, turn=turn, **size))
    connection.execute(CELLS_OF_ARMS)


def add_sealing(reader: Reader, found: Kept, what: str, members: int, act: Callable[[], object]) -> None:
    """What it costs ClickHouse."""
    cpu = reader.cpu_seconds()
    act()
    found.add(f"sealing {what}, CPU of ClickHouse", (reader.cpu_seconds() - cpu) / members * 1e6, "us")


def check(connection: Connection, of_pin: list[Any], of_arms: list[Any], hot: int) -> None:
    """Users of arms are exact, those of the pin within two hundredths. Raises RuntimeError."""
    known = hot + 23 * (hot // 2)
    [(counted, *_)] = of_pin
    if abs(counted - known) > known / 50:
        raise RuntimeError(f"the pin has {counted} users, not {known}")
    told = {each.arm: each.users for each in of_arms}
    if told != dict(connection.rows(TRUTH)):
        raise RuntimeError(f"the arms have other users than {told}")


if __name__ == "__main__":
    typer.run(users)
